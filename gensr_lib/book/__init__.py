"""The book around the library: running the chapters, the site, the doctor, the command line."""
