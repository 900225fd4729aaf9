"""Ports: free, below the kernel's own range, and the same again for the same folder."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.devbroker import ports
from pipeline.devbroker.ports import Ports, choose, is_free, note, recall


def test_chosen_ports_are_free_different_and_no_client_is_given_them_by_the_kernel():
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(20):
        chosen = choose(None)
        assert chosen.broker != chosen.controller
        assert is_free(chosen.broker)
        assert max(chosen.broker, chosen.controller) < lowest_ephemeral


def test_remembered_ports_come_again_unless_taken():
    first = choose(None)
    assert choose(first) == first
    with socket.create_server(("127.0.0.1", first.broker)):
        assert not is_free(first.broker)
        second = choose(first)
        assert second.broker != first.broker
        assert second.controller == first.controller


def test_a_wanted_port_is_kept_and_the_controller_gets_another():
    first = choose(None)
    assert choose(first, wanted=first.controller).broker == first.controller
    assert choose(first, wanted=first.controller).controller != first.controller


def test_no_free_port_is_an_error(monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda _: False)
    with pytest.raises(OSError, match="no free port"):
        choose(None)


def test_the_note_is_read_back_and_a_broken_one_is_none(tmp_path):
    file = tmp_path / "ports.json"
    assert recall(file) is None
    note(file, Ports(1, 2))
    assert recall(file) == Ports(1, 2)
    for text in ("", "[]", '{"broker": 1}', '{"broker": "x", "controller": 1}'):
        file.write_text(text)
        assert recall(file) is None
