from collections.abc import Sequence
from typing import Literal, final

__version__: str

@final
class ChatCompletionRequest:
    def __new__(
        cls,
        messages: Sequence[tuple[str, str]],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> ChatCompletionRequest: ...

@final
class Completion:
    @property
    def text(self) -> str: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"]: ...

@final
class Runner:
    def __new__(cls, model_id: str) -> Runner: ...
    @property
    def model_id(self) -> str: ...
    def send_chat_completion_request(self, request: ChatCompletionRequest) -> Completion: ...

def backends() -> list[str]: ...
def cuda_status() -> str: ...
def mcp_servers(config: str) -> list[str]: ...
