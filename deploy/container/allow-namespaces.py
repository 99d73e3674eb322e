#!/usr/bin/env python3
"""Adds to a container engine's own seccomp profile what a spoke-host needs in order to confine spokes and apps.

    deploy/container/allow-namespaces.py < default.json > secgpt.json
    docker run --security-opt seccomp=secgpt.json --security-opt systempaths=unconfined …

default.json is the engine's default profile, as its project publishes it. Everything in it stays as it is; one rule
is added that permits the calls below without a capability. Inside, each is still subject to the kernel's own checks.
`systempaths=unconfined` is needed because the kernel lets nobody mount a fresh /proc where parts of the old one are
masked.
"""

import json
import sys

# Namespaces; a root of its own; and what the jail's probe tries. Nothing else is added.
CALLS = [
    "clone",
    "unshare",
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "sethostname",
]


def main():
    try:
        profile = json.load(sys.stdin)
        profile["syscalls"].insert(0, {"names": CALLS, "action": "SCMP_ACT_ALLOW"})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"standard input is no seccomp profile of a container engine: {error!r}")
    json.dump(profile, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
