#!/bin/sh
# Installs the Debian packages that a task needs, and only those that are missing.
# Usage: tools/install-deps.sh GROUP…      groups: build report test check train bench
set -eu

# True if all these programs are there, whoever brought them.
have() {
  for program in "$@"; do
    command -v "$program" >/dev/null 2>&1 || return 1
  done
}

packages_of() {
  case $1 in
    build) echo "g++ cmake ninja-build pkg-config ccache libfmt-dev nlohmann-json3-dev" \
                "libcli11-dev libdnnl-dev libhwy-dev libsentencepiece-dev libpcre2-dev libicu-dev" \
                "zlib1g-dev libjpeg-dev libpng-dev libwebp-dev libexif-dev" ;;
    # The page is bundled by npm and drawn figures by gnuplot; a Node from elsewhere is as good.
    report) have node npm || echo "nodejs npm"
            echo "gnuplot-nox fonts-dejavu-core" ;;
    test) echo "libgtest-dev libgmock-dev"
          have chromium || echo "chromium" ;;
    check) echo "clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev" ;;
    train) echo "libtorch-dev libgloo-dev libopenblas0-pthread" ;;
    bench) echo "libbenchmark-dev" ;;
    *) echo "install-deps: unknown group '$1' (build report test check train bench)" >&2; exit 2 ;;
  esac
}

[ $# -gt 0 ] || { echo "usage: $0 GROUP… (build report test check train bench)" >&2; exit 2; }

wanted=
for group in "$@"; do
  list=$(packages_of "$group")
  wanted="$wanted $list"
done

# Elsewhere than on Debian the tools may be there under other package names: let CMake find out.
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  echo "install-deps: no apt here; going on with what is installed (needed:$wanted)" >&2
  exit 0
fi

missing=
for package in $wanted; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install-deps: these packages are missing, and installing them needs root or sudo:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
  as_root="sudo"
fi

apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

echo "install-deps: installing$missing"
# The package lists may be absent (a fresh container) or too old to fetch from: then update first.
# shellcheck disable=SC2086 — a list of words on purpose
if ! apt install --no-install-recommends $missing >/dev/null 2>&1; then
  apt update
  apt install --no-install-recommends $missing
fi
