"""What is committed in topics/pb is what the .proto files say, whichever compiler is installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from topics.pb import metric_family_pb2, push_request_pb2, write_request_pb2, write_request_v2_pb2

ROOT = Path(__file__).resolve().parents[3]
MODULES = {
    "write_request": write_request_pb2,
    "write_request_v2": write_request_v2_pb2,
    "push_request": push_request_pb2,
    "metric_family": metric_family_pb2,
}


def compiled(name: str, folder: Path) -> FileDescriptorProto:
    out = folder / "set.bin"
    include = resources.files("grpc_tools") / "_proto"
    schema = f"topics/pb/{name}.proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Itopics/pb=topics/proto", f"-I{include}"]
    subprocess.run([*command, f"--descriptor_set_out={out}", schema], cwd=ROOT, check=True, timeout=60)
    (found,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return without_json_names(found)


def without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    for message in file.message_type:
        for member in message.field:
            member.ClearField("json_name")
    return file


@pytest.mark.parametrize("name", MODULES)
def test_committed_code_is_what_the_schema_generates(name, tmp_path):
    committed = FileDescriptorProto()
    MODULES[name].DESCRIPTOR.CopyToProto(committed)
    assert without_json_names(committed) == compiled(name, tmp_path)


@pytest.mark.parametrize("name", MODULES)
def test_stubs_know_every_message_and_field(name):
    stub = (ROOT / "topics" / "pb" / f"{name}_pb2.pyi").read_text()
    for message in MODULES[name].DESCRIPTOR.message_types_by_name.values():
        assert f"class {message.name}(" in stub
        for member in message.fields:
            assert f" {member.name}:" in stub or f"def {member.name}(self)" in stub, f"{message.name}.{member.name}"


@pytest.mark.parametrize("name", MODULES)
def test_generated_code_runs_with_the_whole_protobuf_range_of_the_project(name):
    """pyproject.toml says protobuf >= 6.33: the compiler's own version must not be above that."""
    source = (ROOT / "topics" / "pb" / f"{name}_pb2.py").read_text()
    version = source.split("# Protobuf Python Version: ")[1].split("\n")[0]
    major, minor, _ = (int(part) for part in version.split("."))
    assert (6, 0) <= (major, minor) <= (6, 33)


def test_every_schema_has_its_module():
    assert {path.stem for path in (ROOT / "topics" / "proto").glob("*.proto")} == set(MODULES)
