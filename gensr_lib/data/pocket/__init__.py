"""The pocket world: a simulated platform whose click law is known (`world`), as an oracle (`truth`)."""
