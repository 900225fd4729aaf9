"""The fault suite: schedules of faults made from a seed, played against real processes, and judged.

`make faults` plays a hundred, `make faults SEEDS=17` repeats one; tests/faults/test_schedules.py a short selection.

- plan.py: what can happen (Kind, Event), and everything that a run is made of (Plan). generate.py: seed → Plan.
- source.py: the producer's process, which numbers what it gives and notes what Kafka acknowledged.
- backend.py: a backend that fails as it is told. hatch.py, warm.py, parts.py: how processes begin, quickly.
- stepped.py: clocks that can be stepped.
- crew.py: the processes of a run. stage.py: these, the backends and the broker, and what each event does to them.
- play.py: a run from beginning to end. one.py: in a process of its own. report.py: the figures of many.
- truth.py: what Kafka holds at the end. verdict.py, accounts.py: what must be true then.
- poison.py: records of others in our topics. selection.py: the schedules of `make test`.
- sabotage.py: agents with a fault of their own, to see the suite able to fail.
"""
