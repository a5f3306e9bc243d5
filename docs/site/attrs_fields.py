"""An extension of griffe: an attrs field shows its default, and not the call that declares it, nor labels."""

from __future__ import annotations

import griffe


class AttrsFields(griffe.Extension):
    """`= field(default=4, validator=...)` becomes `= 4`."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: object) -> None:
        """Be called by griffe with each attribute that it has found."""
        attr.labels -= {"class-attribute", "instance-attribute"}
        call = attr.value
        if isinstance(call, griffe.ExprCall) and str(call.function) in {"field", "attrs.field"}:
            given = {each.name: each.value for each in call.arguments if isinstance(each, griffe.ExprKeyword)}
            attr.value = given.get("default")
