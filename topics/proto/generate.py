"""Writes topics/pb from the .proto files beside this one (`make proto`).

Generated code refuses a protobuf runtime older than its compiler. The compiler is therefore pinned below the range that
pyproject.toml allows (protoc 31.1 writes code for protobuf >= 6.31.1), in a virtual environment of its own, since the
project's environment has a newer one.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

TOOLS = ("grpcio-tools==1.76.0", "mypy-protobuf==3.6.0", "setuptools<81")
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "build" / "protoc"


def main() -> int:
    """Make the environment when it is missing, run the compiler; 0 when it succeeded."""
    scripts = ENVIRONMENT / "bin"
    if not (scripts / "protoc-gen-mypy").exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    schemas = sorted(path.name for path in (ROOT / "topics" / "proto").glob("*.proto"))
    include = next(ENVIRONMENT.glob("lib/python*/site-packages/grpc_tools/_proto"))
    command: list[str | Path] = [
        *(scripts / "python", "-m", "grpc_tools.protoc", "-Itopics/pb=topics/proto", f"-I{include}"),
        *(f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}", "--python_out=.", "--mypy_out=."),
        *(f"topics/pb/{name}" for name in schemas),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
