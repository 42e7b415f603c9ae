"""Facts about commands, from COMMAND and COMMAND DOCS of a server, and from Redis's public JSON descriptions, in one form:
{command: {fact: text}}. Summaries and sentences of histories are left out: each server has its own words.
"""

import json

from wire import pairs_to_dict

ARGUMENT_FLAGS = ("optional", "multiple", "multiple_token")
VERSIONS = (("since", "since"), ("deprecated", "deprecated_since"))


# From a server


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def words(values):
    return " ".join(sorted(text(value) for value in values))


def fields(map_reply):
    pairs = map_reply if isinstance(map_reply, dict) else pairs_to_dict(map_reply)
    return {text(name): value for name, value in pairs.items()}


def key_spec(flags, begin, find, noted):
    """A key spec. begin, find: (type, {name: number or word}). noted: whether it has notes (their words differ)."""
    def step(kind, spec):
        return " ".join([kind, *(f"{name}={value}" for name, value in sorted(spec.items()))])

    steps = [step(*begin), step(*find)]
    shown = f"{words(text(flag).lower() for flag in flags)}: {'; '.join(steps)}"
    return f"{shown}; notes" if noted else shown


def key_spec_of_server(flat):
    spec = fields(flat)

    def step(name):
        parts = fields(spec[name])
        return text(parts["type"]), {key: text(value) for key, value in fields(parts["spec"]).items()}

    return key_spec(spec["flags"], step("begin_search"), step("find_keys"), "notes" in spec)


def described(arg):
    """An argument without its name, as readable text. `arg` has the fields of COMMAND DOCS."""
    shown = arg["type"]
    if "key_spec_index" in arg:
        shown += f" spec={arg['key_spec_index']}"
    if "token" in arg:
        shown += f" {arg['token']!r}"
    shown += "".join(f" {word}={arg[field]}" for word, field in VERSIONS if field in arg)
    shown += "".join(f" {flag}" for flag in ARGUMENT_FLAGS if flag in arg["flags"])
    return f"{shown} ({arguments(arg['arguments'])})" if "arguments" in arg else shown


def arguments(args):
    return ", ".join(described(arg) for arg in args)


def names(args):
    """The display texts of all arguments that do not consist of others."""
    found = []
    for arg in args:
        shown, parts = arg.get("display_text"), arg.get("arguments")
        usual = arg["name"] if parts is None else None
        found.append(arg["name"] if shown == usual else f"{arg['name']}={shown}")
        found += [names(parts)] if parts is not None else []
    return " ".join(found)


def arguments_of_server(listed):
    args = []
    for flat in listed:
        arg = fields(flat)
        parts, flags = arg.pop("arguments", None), arg.pop("flags", [])
        arg = {name: text(value) for name, value in arg.items()}
        arg["flags"] = {text(flag) for flag in flags}
        if parts is not None:
            arg["arguments"] = arguments_of_server(parts)
        args.append(arg)
    return args


def add_row(facts, row):
    name, arity, flags, first, last, step, categories, tips, specs, subcommands = row
    facts[text(name)] = {
        "arity": str(arity),
        "flags": words(flags),
        "range": f"{first} {last} {step}",
        "categories": words(categories),
        "tips": " ".join(text(tip) for tip in tips),
        "keys": " | ".join(key_spec_of_server(spec) for spec in specs),
    }
    for sub in subcommands:
        add_row(facts, sub)


def add_docs(facts, name, flat):
    docs = fields(flat)
    own = facts[name]
    for field in ("group", "since", "complexity", "deprecated_since", "replaced_by"):
        own[field] = text(docs.get(field, ""))
    own["doc_flags"] = words(docs.get("doc_flags", []))
    own["history"] = " ".join(text(version) for version, _ in docs.get("history", []))
    args = arguments_of_server(docs.get("arguments", []))
    own["arguments"], own["names"] = arguments(args), names(args)
    for sub, sub_docs in fields(docs.get("subcommands", [])).items():
        add_docs(facts, sub, sub_docs)


def of_server(server):
    facts = {}
    for row in server.call("COMMAND"):
        add_row(facts, row)
    for name, docs in fields(server.call("COMMAND", "DOCS")).items():
        add_docs(facts, name, docs)
    return facts


# From the JSON descriptions: a folder with a file for each command or subcommand

# Flags in the descriptions that COMMAND does not report
INTERNAL_FLAGS = {"SENTINEL", "ONLY_SENTINEL", "PROTECTED", "MAY_REPLICATE", "TOUCHES_ARBITRARY_KEYS"}
IMPLIED_CATEGORIES = {
    "WRITE": ("write",),
    "ADMIN": ("admin", "dangerous"),
    "PUBSUB": ("pubsub",),
    "FAST": ("fast",),
    "BLOCKING": ("blocking",),
}


def categories_of_description(row):
    flags, categories = set(row.get("command_flags", [])), {name.lower() for name in row.get("acl_categories", [])}
    for flag in flags:
        categories.update(IMPLIED_CATEGORIES.get(flag, ()))
    if "READONLY" in flags and "scripting" not in categories:
        categories.add("read")
    if "FAST" not in flags:
        categories.add("slow")
    return words(f"@{name}" for name in categories)


def key_spec_of_description(spec):
    def step(name, renamed):
        ((kind, parts),) = spec[name].items()
        return kind, {renamed.get(key, key): text(value) for key, value in (parts or {}).items()}

    begin = step("begin_search", {"pos": "index"})
    return key_spec(spec["flags"], begin, step("find_keys", {"step": "keystep"}), "notes" in spec)


def range_of_description(specs):
    """First key, last key and step for old clients, from all key specs that are plain ranges."""
    first = last = step = 0
    for spec in specs:
        at, found = spec["begin_search"].get("index"), spec["find_keys"].get("range")
        if at is None or found is None or found["limit"] > 1:
            continue
        end = at["pos"] + found["lastkey"] if found["lastkey"] >= 0 else found["lastkey"]
        if first == 0:
            first, last, step = at["pos"], end, found["step"]
        else:
            first, step = min(first, at["pos"]), 1
            last = end if end < 0 or (last >= 0 and end > last) else last
    return f"{first} {last} {step}"


def flags_of_description(row):
    flags = {flag.lower() for flag in set(row.get("command_flags", [])) - INTERNAL_FLAGS}
    varies = any("VARIABLE_FLAGS" in spec["flags"] for spec in row.get("key_specs", []))
    if "get_keys_function" in row and not varies:
        flags.add("movablekeys")
    return words(flags)


def argument_of_description(arg):
    """As a server reports it: names in lower case, tokens in upper case, a token written as quotes as empty."""
    fields_of = {"name": arg["name"].lower(), "type": arg["type"]}
    fields_of.update((name, arg[name]) for name in ("key_spec_index", "since", "deprecated_since") if name in arg)
    fields_of["flags"] = {flag for flag in ARGUMENT_FLAGS if arg.get(flag)}
    if "token" in arg:
        fields_of["token"] = arg["token"].upper().replace('""', "")
    if arg["type"] not in ("oneof", "block"):
        fields_of["display_text"] = arg.get("display", fields_of["name"])
    if "arguments" in arg:
        fields_of["arguments"] = [argument_of_description(part) for part in arg["arguments"]]
    return fields_of


def of_descriptions(folder):
    facts = {}
    for path in sorted(folder.glob("*.json")):
        for name, row in json.loads(path.read_text()).items():
            if row["group"] == "sentinel":
                continue
            specs, args = row.get("key_specs", []), [argument_of_description(arg) for arg in row.get("arguments", [])]
            name = f"{row['container']}|{name}" if "container" in row else name
            facts[name.lower()] = {
                "arity": str(row["arity"]),
                "flags": flags_of_description(row),
                "range": range_of_description(specs),
                "categories": categories_of_description(row),
                "tips": " ".join(tip.lower() for tip in row.get("command_tips", [])),
                "keys": " | ".join(key_spec_of_description(spec) for spec in specs),
                "group": row["group"].replace("_", "-"),
                "since": row["since"],
                "complexity": row.get("complexity", ""),
                "deprecated_since": row.get("deprecated_since", ""),
                "replaced_by": row.get("replaced_by", ""),
                "doc_flags": words(flag.lower() for flag in row.get("doc_flags", [])),
                "history": " ".join(version for version, _ in row.get("history", [])),
                "arguments": arguments(args),
                "names": names(args),
            }
    return facts


def differences(one, other):
    """{(command, fact): (value in one, value in other)}; for a command that only one has, the fact "exists"."""
    found = {}
    for name in sorted(set(one) | set(other)):
        if name not in one or name not in other:
            found[name, "exists"] = ("yes" if name in one else "no", "yes" if name in other else "no")
            continue
        for fact in one[name]:
            if one[name][fact] != other[name][fact]:
                found[name, fact] = (one[name][fact], other[name][fact])
    return found
