"""A real RabbitMQ for tests, from Debian's package; `python -m tests.rabbitmq` starts one by hand."""
