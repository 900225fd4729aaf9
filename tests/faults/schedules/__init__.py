"""The fault suite: schedules of faults made from a seed, played against real processes, and judged.

`make faults` plays a hundred, `make faults SEEDS=17` repeats one; tests/faults/test_schedules.py a short selection.

- plan.py: what can happen (Kind, Event), and everything that a run is made of (Plan). generate.py: seed → Plan.
- source.py: the producer's process, which numbers what it gives and notes what Kafka acknowledged.
- backend.py: a backend that fails as it is told. as_agent.py: an agent whose clock can be stepped.
- stage.py: the processes of a run, and what each event does to them. play.py: a run from beginning to end.
- truth.py: what Kafka holds at the end. verdict.py: what must be true then.
- sabotage.py: agents with a fault of their own, to see the suite able to fail.
"""
