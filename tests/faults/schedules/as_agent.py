"""`python -m tests.faults.schedules.as_agent …`: the agent's own process, with a clock that can be stepped.

`HEADRACE_FAULTS_SABOTAGE` names a fault to build in: see sabotage.py.
"""

from __future__ import annotations

import os

from tests.faults.schedules import stepped

if __name__ == "__main__":
    stepped.install(os.environ[stepped.VARIABLE])

    from agents.__main__ import main
    from pipeline.lifecycle.early import answer_signals_early
    from tests.faults.schedules import sabotage

    answer_signals_early()
    sabotage.build_in(os.environ.get(sabotage.VARIABLE, ""))
    main(prog_name="headrace agent")
