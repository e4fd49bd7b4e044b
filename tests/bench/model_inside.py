"""The same model without a server, run by the server's Python: vLLM's `LLM`, or transformers.

``model_inside.py vllm|transformers MODEL_FOLDER`` reads a JSON list of texts on standard input
and writes texts per second by batch, and how long loading took. One compute thread, float32.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence

BATCHES = (1, 16, 64)
SECONDS = 5.0  # per batch
Embed = Callable[[list[str]], object]


def with_vllm(folder: str) -> Embed:
    from vllm import LLM  # noqa: PLC0415 - takes 10 s, and only one way needs it

    model = LLM(folder, runner="pooling", dtype="float32", enforce_eager=True)
    return lambda texts: model.embed(texts, use_tqdm=False)


def with_transformers(folder: str) -> Embed:
    import torch  # noqa: PLC0415 - only the server's Python has it
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - as above

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    model = model.to(torch.float32).eval()

    def embed(texts: list[str]) -> object:
        given = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**given).last_hidden_state
        mask = given["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean).tolist()

    return embed


def speed(embed: Embed, texts: Sequence[str], batch: int) -> float:
    """Return texts per second in batches of one size, one after the other."""
    embed(list(texts[:batch]))
    done, began = 0, time.monotonic()
    while (lasted := time.monotonic() - began) < SECONDS:
        at = done % (len(texts) - batch + 1)
        embed(list(texts[at : at + batch]))
        done += batch
    return done / lasted


def main(way: str, folder: str) -> None:
    import torch  # noqa: PLC0415 - only the server's Python has it

    texts = json.load(sys.stdin)
    torch.set_num_threads(1)
    began = time.monotonic()
    embed = {"vllm": with_vllm, "transformers": with_transformers}[way](folder)
    load_s = time.monotonic() - began
    found = {str(batch): round(speed(embed, texts, batch), 1) for batch in BATCHES}
    json.dump({"load_s": round(load_s, 1), "texts_per_s": found}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
