"""Kinds of files that several sources have: each is read, checked and refused in one place."""
