"""Reads standard input by the word: traces or metrics (OTLP in Protobuf) or openmetrics. Prints JSON; fails on what is invalid."""

import base64
import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

REQUESTS = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}


def openmetrics(text):
    families = list(text_string_to_metric_families(text))
    exemplars = [sample.exemplar.labels for family in families for sample in family.samples if sample.exemplar]
    return {"families": {family.name: [family.type, family.unit] for family in families}, "exemplars": exemplars}


kind = sys.argv[1]
if kind == "openmetrics":
    result = openmetrics(sys.stdin.buffer.read().decode())
else:
    request = REQUESTS[kind].FromString(base64.b64decode(sys.stdin.read()))
    result = MessageToDict(request)
print(json.dumps(result))
