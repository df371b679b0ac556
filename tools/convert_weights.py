"""Makes a weights file of a state dict that the authors of JESSNet publish, for those whom its licence allows it:

    python3 convert_weights.py jessnet.pth jessnet.safetensors        (torch, numpy, safetensors)

The layers' names stay as they are. The authors' channels are blue, green, red; here they are red, green, blue: what reads or makes
a picture is turned round. PyTorch's count of batches is dropped.
"""

import re
import sys

import numpy as np
from safetensors.numpy import save_file


def jessnet(state):
    """The tensors and the header of the weights file, of a state dict as arrays."""
    state = {k.removeprefix("module."): v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    numbers = lambda pattern: {int(m[1]) for m in map(re.compile(pattern).match, state) if m}
    blocks = [len(numbers(rf"{at}\.(\d+)\.conv_3x3_1\.weight")) for at in ("descriptor.res16", "interpreter2", "refine")]
    first, change = f"interpreter2.{6 + blocks[1]}", f"refine.{3 + blocks[2]}"
    wanted = {"descriptor.conv_in.weight", "refine.0.weight", f"{first}.weight", f"{change}.weight"}
    if missing := wanted - state.keys():
        raise SystemExit(f"no JESSNet: it has no {', '.join(sorted(missing))}")
    out = {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in state.items()}
    turn = lambda key, part: out.update({key: np.ascontiguousarray(part(out[key]))})
    turn("descriptor.conv_in.weight", lambda w: w[:, ::-1])
    # Its last inputs are the first result's.
    turn("refine.0.weight", lambda w: np.concatenate([w[:, :-3], w[:, :-4:-1]], 1))
    for layer in (first, change):
        turn(f"{layer}.weight", lambda w: w[::-1])
        turn(f"{layer}.bias", lambda b: b[::-1])
    features = out["descriptor.conv_in.weight"].shape[0]
    header = {"architecture": "jessnet", "features": features, "blocks": ",".join(map(str, blocks)), "scale": 1}
    return out, {k: str(v) for k, v in header.items()}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    import torch

    state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    tensors, header = jessnet({k: v.numpy() for k, v in state.items()})
    save_file(tensors, sys.argv[2], metadata=header)
    print(sys.argv[2], header)
