#!/usr/bin/env bash
# Vega-Lite 6.1 takes a tooltip's title for code, seen 2026-11-27 (by vl-convert-python 1.9.0.post1).
#
# A title of a tooltip's field becomes a key in an expression, in quotation marks; quotation marks in it
# are escaped, backslashes are not. So a title of `a\ub` ends the drawing with a parse error; axes' and
# legends' titles are text. Names of groups may hold backslashes, so mqpipe doubles them in tooltips'
# titles.
#
# Seen:
#   a\ub    Expression parse error
#   a\\ub   drawn
#   a"b     drawn
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vl-convert-python==1.9.0.post1
drawn() {
    "$folder/venv/bin/python" - "$1" <<'PYTHON'
import sys

import vl_convert

spec = {
    "data": {"values": [{"x": 1, "y": 2}]},
    "mark": "point",
    "encoding": {
        "x": {"field": "x", "type": "quantitative"},
        "tooltip": [{"field": "y", "type": "quantitative", "title": sys.argv[1]}],
    },
}
try:
    vl_convert.vegalite_to_svg(spec, vl_version="6.1")
    print("drawn")
except ValueError as error:
    print("Expression parse error" if "Expression parse error" in str(error) else error)
PYTHON
}
for title in 'a\ub' 'a\\ub' 'a"b'; do
    printf '%-7s %s\n' "$title" "$(drawn "$title")"
done
[ "$(drawn 'a\ub')" = "Expression parse error" ]
[ "$(drawn 'a\\ub')" = drawn ]
[ "$(drawn 'a"b')" = drawn ]
