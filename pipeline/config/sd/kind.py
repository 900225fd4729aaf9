"""What the settings of a kind of discovery are: a section that names itself and explains its own keys."""

from __future__ import annotations

from typing import ClassVar, Self

from pipeline.config.section import Section


class Described(Section):
    """A section whose keys are explained beside them: what stands inside the settings of a kind.

    `TITLE`: its heading in docs/configuration.md, such as ``kubernetes_sd_configs[].namespaces``; `MEANINGS`: the line
    of each of its keys there. Those of the HTTP client are explained elsewhere.
    """

    TITLE: ClassVar[str] = ""
    MEANINGS: ClassVar[dict[str, str]] = {}

    @classmethod
    def title(cls) -> str:
        """The heading of its table."""
        return f"`{cls.TITLE}`"


class Kind(Described):
    """The settings of one discovery. `KIND`: its name, and the module in pipeline/discovery that does the work;
    `MEANING`: the line of its key in docs/configuration.md.
    """

    KIND: ClassVar[str]
    MEANING: ClassVar[str]

    @classmethod
    def key(cls) -> str:
        """The key of a job that lists such settings."""
        return f"{cls.KIND}_sd_configs"

    def on_node(self, _node: str) -> Self:
        """The same, limited to what runs on a node, for kinds that can ask so: a tailer reads its own node's files.

        Promtail's rule; it spares the server of the kind, and relabelling decides all the same.
        """
        return self

    @classmethod
    def title(cls) -> str:
        """By its key."""
        return f"`{cls.key()}[]`"
