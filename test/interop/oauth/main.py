"""Runs the program of this folder that the request on standard input names in `program`."""

import io
import json
import pathlib
import runpy
import sys

text = sys.stdin.read()
sys.stdin = io.StringIO(text)
runpy.run_path(str(pathlib.Path(__file__).with_name(json.loads(text)["program"] + ".py")), run_name="__main__")
