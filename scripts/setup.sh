# Sourced by ./gpc-studio and ./run-tests: makes the virtual environment, once per change of the
# pinned versions. Usage: gpc_studio_setup EXTRA, where EXTRA is "" or "test".

gpc_studio_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    echo "GPC Studio needs Python 3.11, 3.12 or 3.13; none was found on the PATH." >&2
    echo "Install one (Debian/Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13)" >&2
    echo "or name one: PYTHON=/path/to/python3.12 $0" >&2
    return 1
}

gpc_studio_setup() {
    local extra="$1" stamp wanted python found
    stamp="$ROOT/.venv/.gpc-studio${extra:+-$extra}"
    wanted="$(cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" | cksum) $ROOT"
    # What the tests need holds all that the program needs.
    for found in "$stamp" "$ROOT/.venv/.gpc-studio-test"; do
        if [ -f "$found" ] && [ "$(cat "$found")" = "$wanted" ]; then
            return 0
        fi
    done
    if [ ! -x "$ROOT/.venv/bin/python" ]; then
        python="$(gpc_studio_python)" || return 1
        if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
            echo "$python cannot make virtual environments." >&2
            echo "Debian/Ubuntu: apt install python3-venv   (then run the same command again)" >&2
            return 1
        fi
        echo "Setting up GPC Studio (once, about a minute) ..." >&2
        "$python" -m venv "$ROOT/.venv" || return 1
    fi
    PYTHONWARNINGS=ignore "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$ROOT/constraints.txt" --editable "$ROOT${extra:+[$extra]}" || {
        echo "Installing the dependencies failed (see above); run the same command again to retry." >&2
        return 1
    }
    echo "$wanted" >"$stamp"
}
