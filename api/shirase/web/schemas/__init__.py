"""The shapes of requests and answers. The OpenAPI document is generated from these classes."""
