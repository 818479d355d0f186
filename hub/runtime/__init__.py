"""Run threads, and use the processor well.

| module | what it holds |
|---|---|
| `clock` | the clock that components read by default |
| `scheduler` | runs probes at their intervals |
| `health_probes` | what `/healthz` reports |
| `time_limit` | a call with a time limit |
| `torch_threads`, `precision`, `int8_products` | PyTorch's threads, its best precision, products of bytes |
| `embedded_servers` | a broker and Redis from Python wheels, for demos, benchmarks and tests |
"""
