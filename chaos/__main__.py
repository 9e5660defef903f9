"""``python -m chaos``: collect charges while everything fails, then compare them with Stripe."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from random import randrange

MUTANTS = ["no-key", "no-claim", "no-terms", "early-signal"]

#: The number of runs in which a mutant has to be noticed once.
TRIES = 3


def main() -> int:
    options = _parser().parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "chaos.settings"
    os.environ["TEST_DATABASE"] = options.database
    os.environ["TEST_DATABASE_NAME"] = options.name
    os.environ.setdefault("CHAOS_LOG", os.path.join(tempfile.gettempdir(), f"{options.name}.log"))
    if options.mutants:
        return _each_mutant(sys.argv[1:])
    from chaos.roles import Orders as Orders  # sets Django up
    from chaos.run import Options, run

    print(f"The log is {os.environ['CHAOS_LOG']}", flush=True)
    return run(
        Options(
            rows=options.rows,
            seed=options.seed,
            seconds=options.seconds,
            most_seconds=options.minutes * 60,
            mutant=options.mutant,
            old_code=options.old_code,
        )
    )


def _each_mutant(arguments: list[str]) -> int:
    """Run each mutant; return 1 if the judge does not notice one."""
    given = [it for it in arguments if it != "--mutants"]
    survivors = [mutant for mutant in MUTANTS if not _is_noticed(mutant, given)]
    print(f"Survived: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


def _is_noticed(mutant: str, given: list[str]) -> bool:
    """Return whether a run has violations; on a busy machine little may happen in the first."""
    for _ in range(TRIES):
        command = [sys.executable, "-m", "chaos", *given, "--mutant", mutant]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        *_, last = run.stdout.splitlines()
        print(f"{mutant}: {last}", flush=True)
        if run.returncode == 1 and last.endswith("violations."):
            return True
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    databases = ["postgres", "mariadb", "sqlite"]
    parser.add_argument("--database", choices=databases, default="postgres")
    parser.add_argument("--name", default=f"aa_chaos_{os.getpid()}", help="of the database")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=randrange(10**6))
    parser.add_argument("--seconds", type=float, default=20, help="of chaos, at least")
    parser.add_argument("--minutes", type=float, default=15, help="of chaos, at most")
    parser.add_argument("--mutant", choices=MUTANTS, default="")
    parser.add_argument(
        "--old-code", action="store_true", help="let the version before claims charge as well"
    )
    parser.add_argument("--mutants", action="store_true", help="run each mutant; it has to fail")
    return parser


if __name__ == "__main__":
    sys.exit(main())
