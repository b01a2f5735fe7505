"""The pocket world: a simulated platform (`world`) whose click law is known (`truth`)."""
