module sluice.dev/e2e/tools/examples

go 1.26.0

require (
	github.com/cilium/cilium v1.20.2
	github.com/open-telemetry/opentelemetry-operator v0.140.0
)
