"""The processes: what each role is made of, and the supervisor that runs them all on one machine."""
