"""`kubernetes_sd_configs`: targets from the API of Kubernetes. Keys, defaults and rules are Prometheus's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.config.environment import ExpandedFilePath, ExpandedText
from pipeline.config.http import URL, HttpClientConfig
from pipeline.config.kubernetes_selectors import field_selector, label_selector
from pipeline.config.sd.kind import Described, Kind
from pipeline.config.section import Fault, fault
from pipeline.config.units import Boolean

Role = Literal["endpoints", "endpointslice", "ingress", "node", "pod", "service"]

_ROLES = ("pod", "service", "endpoints", "endpointslice", "node", "ingress")
_SELECTABLE = {
    "pod": ("pod", "node"),
    "service": ("service",),
    "endpointslice": ("pod", "service", "endpointslice"),
    "endpoints": ("pod", "service", "endpoints"),
    "node": ("node",),
    "ingress": ("ingress",),
}


def _known_role(value: Any) -> Any:
    if isinstance(value, str) and value not in _ROLES:
        raise fault(f'unknown Kubernetes SD role "{value}"', f"one of: {', '.join(_ROLES)}")
    return value


RoleName = Annotated[Role, BeforeValidator(_known_role)]


class KubernetesNamespaces(Described):
    """`namespaces`: where to look; everywhere when nothing is said."""

    TITLE: ClassVar[str] = "kubernetes_sd_configs[].namespaces"
    MEANINGS: ClassVar[dict[str, str]] = {
        "own_namespace": "Whether to look in the namespace of headrace's own pod.",
        "names": "Namespaces to look in; all when there are none.",
    }

    own_namespace: Boolean = False
    names: tuple[ExpandedText, ...] = ()


class KubernetesSelector(Described):
    """`selectors`: which objects of one role the API server is asked for."""

    TITLE: ClassVar[str] = "kubernetes_sd_configs[].selectors[]"
    MEANINGS: ClassVar[dict[str, str]] = {
        "role": "Whose objects: the role itself, or `pod` and `service` beside `endpoints` and `endpointslice`, or "
        "`node` beside `pod`.",
        "label": "A label selector, as kubectl takes it.",
        "field": "A field selector, such as `spec.nodeName=${NODE_NAME}`.",
    }

    role: RoleName
    label: Annotated[ExpandedText, AfterValidator(label_selector)] = ""
    field: Annotated[ExpandedText, AfterValidator(field_selector)] = ""


class KubernetesAttachMetadata(Described):
    """`attach_metadata`: labels of objects that a target stands in or belongs to."""

    TITLE: ClassVar[str] = "kubernetes_sd_configs[].attach_metadata"
    MEANINGS: ClassVar[dict[str, str]] = {
        "node": "Adds the node's name, labels and annotations. Roles pod, endpoints, endpointslice.",
        "namespace": "Adds the labels and annotations of the namespace. All roles but node.",
        "deployment": "Adds the name of the deployment that a pod belongs to.",
        "job": "Adds the name of the job that a pod belongs to.",
        "cronjob": "Adds the name of the cron job that a pod belongs to.",
    }

    node: Boolean = False
    namespace: Boolean = False
    deployment: Boolean = False
    job: Boolean = False
    cronjob: Boolean = False


class KubernetesSDConfig(Kind, HttpClientConfig):
    """Targets from the API of Kubernetes, kept up to date by watching it."""

    KIND: ClassVar[str] = "kubernetes"
    MEANING: ClassVar[str] = "Targets from the API of Kubernetes."
    MEANINGS: ClassVar[dict[str, str]] = {
        "api_server": "The API server. Without it and without `kubeconfig_file`: the one of the cluster that headrace "
        "runs in, with the service account of its pod.",
        "role": "What becomes targets: `pod` `service` `endpoints` `endpointslice` `node` or `ingress`.",
        "kubeconfig_file": "A kubeconfig file that says where the API server is and who asks.",
        "namespaces": "Where to look.",
        "selectors": "Which objects the API server is asked for.",
        "attach_metadata": "Labels of nodes, namespaces and owners to add.",
    }

    api_server: URL | None = Field(default=None, repr=False)
    role: RoleName
    kubeconfig_file: ExpandedFilePath = ""
    namespaces: KubernetesNamespaces = KubernetesNamespaces()
    selectors: tuple[KubernetesSelector, ...] = ()
    attach_metadata: KubernetesAttachMetadata = KubernetesAttachMetadata()

    def faults(self) -> Iterator[Fault]:
        """Which keys exclude each other, and which role may select what."""
        yield from super().faults()
        yield from self._address_faults()
        seen: set[str] = set()
        allowed = _SELECTABLE[self.role]
        for index, selector in enumerate(self.selectors):
            where = ("selectors", index, "role")
            if selector.role in seen:
                yield Fault(f"duplicated selector role: {selector.role}", "join the two with a comma", where)
            seen.add(selector.role)
            if selector.role not in allowed:
                yield Fault(f"{self.role} role supports only {', '.join(allowed)} selectors", "remove it", where)

    def on_node(self, node: str) -> Self:
        """Of the role pod, the pods of that node only, so that a cluster's tailers do not each watch all of it."""
        if self.role != "pod":
            return self
        here = f"spec.nodeName={node}"
        others = tuple(one for one in self.selectors if one.role != "pod")
        pods = next((one for one in self.selectors if one.role == "pod"), KubernetesSelector(role="pod"))
        fields = [field for field in pods.field.split(",") if field and field != here]
        limited = pods.model_copy(update={"field": ",".join([*fields, here])})
        return self.model_copy(update={"selectors": (limited, *others)})

    def _address_faults(self) -> Iterator[Fault]:
        has_own_http = any(getattr(self, name) != getattr(_PLAIN_HTTP, name) for name in HttpClientConfig.model_fields)
        if self.api_server and self.kubeconfig_file:
            yield Fault("cannot use 'kubeconfig_file' and 'api_server' simultaneously", "remove one of the two")
        if self.kubeconfig_file and has_own_http:
            message = "cannot use a custom HTTP client configuration together with 'kubeconfig_file'"
            yield Fault(message, "write it into the kubeconfig file")
        if not self.api_server and not self.kubeconfig_file and has_own_http:
            message = "to use custom HTTP client configuration please provide the 'api_server' URL explicitly"
            yield Fault(message, "add api_server")
        for name in ("api_server", "kubeconfig_file"):
            if getattr(self, name) and self.namespaces.own_namespace:
                yield Fault(f"cannot use '{name}' and 'namespaces.own_namespace' simultaneously", "name the namespace")


_PLAIN_HTTP = HttpClientConfig()
