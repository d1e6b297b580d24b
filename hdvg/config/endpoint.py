"""Where a model behind a server is asked, and how patiently."""

from __future__ import annotations

from pydantic import Field

from hdvg.config.settings import Settings

SPENDING = {"concurrency", "timeout_s", "tries", "prompt_price", "output_price", "key_env"}
"""Settings of an endpoint that shape no text."""


class Endpoint(Settings):
    """A service that speaks OpenAI's chat completions."""

    url: str = Field(
        "http://127.0.0.1:8000/v1",
        pattern=r"^https?://[^\s/]+",
        description="base URL; vLLM and SGLang serve at such a one",
    )
    key_env: str = Field("OPENAI_API_KEY", description="environment variable that holds the key, if one is needed")
    concurrency: int = Field(16, ge=1, description="requests at once")
    timeout_s: float = Field(120, gt=0, description="longest time for one answer")
    tries: int = Field(4, ge=1, le=20, description="tries of one request, further and further apart")
    prompt_price: float = Field(0, ge=0, description="price of a million tokens sent")
    output_price: float = Field(0, ge=0, description="price of a million tokens received")
