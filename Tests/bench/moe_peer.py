"""One mixture-of-experts layer in PyTorch on the CPU, float32, forward and backward: what our layer is held against.

Use: moe_peer.py CASE THREADS VARIANT [REPEATS]; prints one JSON line of the best seconds.
Variants: autograd (a loop over the experts, one parameter each), grouped (rows sorted by expert, torch's grouped_mm),
staged (rows sorted, one matrix product for each expert and hand-written gradients, phase by phase) and local (the same,
expert by expert, so that rows stay in the cache)."""
import json
import os
import sys
import time

case, threads, variant = sys.argv[1], int(sys.argv[2]), sys.argv[3]
repeats = int(sys.argv[4]) if len(sys.argv) > 4 else 5
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
import torch
import torch.nn.functional as F

torch.set_num_threads(threads)
torch.manual_seed(0)

# hidden, intermediate, experts, groups, groups of a token, experts of a token, tokens, shared expert
hidden, inner, experts, groups, limited, top, tokens, has_shared = {
    "mid": (1024, 512, 64, 8, 4, 8, 2048, True),
    "big8": (7168, 2048, 8, 1, 1, 8, 1024, False),
    "big16": (7168, 2048, 16, 1, 1, 8, 1024, False),
    "ep8": (7168, 2048, 8, 1, 1, 1, 1024, False),
    "tiny": (64, 32, 16, 4, 2, 4, 128, True),
}[case]
rows = tokens * top


def weight(*shape):
    return torch.empty(*shape).uniform_(-1, 1).mul_((3 / shape[-1]) ** 0.5)


gate_weight = weight(experts, hidden)
up_weights, down_weights = weight(experts, 2 * inner, hidden), weight(experts, hidden, inner)
shared_up, shared_down = weight(2 * inner, hidden), weight(hidden, inner)
x, dy = torch.randn(tokens, hidden), torch.randn(tokens, hidden)


def choose(x, gate_weight):
    scores = torch.sigmoid(x @ gate_weight.T)
    keys = scores.detach()
    if groups > 1:
        best = keys.view(tokens, groups, -1).topk(2, -1).values.sum(-1).topk(limited, -1).indices
        allowed = torch.zeros(tokens, groups, dtype=torch.bool).scatter_(1, best, True)
        keys = keys.masked_fill(~allowed.repeat_interleave(experts // groups, 1), float("-inf"))
    chosen = keys.topk(top, -1).indices
    picked = scores.gather(1, chosen)
    return chosen, picked / (picked.sum(-1, keepdim=True) + 1e-20) * 2.5, scores


def swiglu(both):
    return F.silu(both[:, :inner]) * both[:, inner:]


def sorted_rows(chosen):
    order = chosen.flatten().sort(stable=True).indices
    ends = torch.bincount(chosen.flatten(), minlength=experts).cumsum(0)
    return order, order // top, [0] + ends.tolist()


def with_autograd(body, parameters):
    for parameter in parameters:
        parameter.requires_grad_()
        parameter.grad = None
    source = x.detach().requires_grad_()
    start = clock()
    y = body(source)
    if has_shared:
        y = y + swiglu(source @ shared_up.T) @ shared_down.T
    y.backward(dy)
    return [clock(), start]


def autograd():
    def body(source):
        chosen, weights, _ = choose(source, gate_weight)
        y = torch.zeros_like(source)
        for expert in range(experts):
            token, slot = torch.where(chosen == expert)
            if token.numel():
                out = swiglu(source[token] @ own_up[expert].T) @ own_down[expert].T
                y = y.index_add(0, token, out * weights[token, slot, None])
        return y

    shared = [shared_up, shared_down] if has_shared else []
    return with_autograd(body, [gate_weight, *own_up, *own_down, *shared])


def grouped():
    def body(source):
        chosen, weights, _ = choose(source, gate_weight)
        order, token, ends = sorted_rows(chosen)
        offsets = torch.tensor(ends[1:], dtype=torch.int32)
        h = swiglu(F.grouped_mm(source[token], up_weights.transpose(1, 2), offs=offsets))
        out = F.grouped_mm(h, down_weights.transpose(1, 2), offs=offsets)
        return torch.zeros_like(source).index_add(0, token, out * weights.flatten()[order, None])

    shared = [shared_up, shared_down] if has_shared else []
    return with_autograd(body, [gate_weight, up_weights, down_weights, *shared])


def swiglu_gradient(both, dh, into):
    gate, up = both[:, :inner], both[:, inner:]
    s = torch.sigmoid(gate)
    torch.mul(dh, gate * s, out=into[:, inner:])
    torch.mul(dh * up, s * (1 + gate * (1 - s)), out=into[:, :inner])


kept = {}


def buffer(name, *shape):
    if name not in kept:
        kept[name] = torch.empty(*shape)
    return kept[name]


@torch.no_grad()
def by_hand(is_local):
    start = clock()
    chosen, weights, scores = choose(x, gate_weight)
    order, token, ends = sorted_rows(chosen)
    spans = [slice(ends[e], ends[e + 1]) for e in range(experts)]
    row_weights = weights.flatten()[order, None]
    inputs, both = buffer("inputs", rows, hidden), buffer("both", rows, 2 * inner)
    h, out = buffer("h", rows, inner), buffer("out", rows, hidden)
    y = torch.zeros_like(x)
    # Whole phases over all experts, or all phases of one expert after the other.
    for batch in ([[e] for e in range(experts)] if is_local else [range(experts)]):
        here = slice(spans[batch[0]].start, spans[batch[-1]].stop)
        torch.index_select(x, 0, token[here], out=inputs[here])
        for e in batch:
            torch.mm(inputs[spans[e]], up_weights[e].T, out=both[spans[e]])
        torch.mul(F.silu(both[here, :inner]), both[here, inner:], out=h[here])
        for e in batch:
            torch.mm(h[spans[e]], down_weights[e].T, out=out[spans[e]])
        y.index_add_(0, token[here], out[here] * row_weights[here])
    if has_shared:
        shared_both = x @ shared_up.T
        shared_h = swiglu(shared_both)
        y += shared_h @ shared_down.T
    douts, dboth = buffer("douts", rows, hidden), buffer("dboth", rows, 2 * inner)
    dh, dinputs = buffer("dh", rows, inner), buffer("dinputs", rows, hidden)
    row_gradients, dx = torch.empty(rows), torch.zeros_like(x)
    for batch in ([[e] for e in range(experts)] if is_local else [range(experts)]):
        here = slice(spans[batch[0]].start, spans[batch[-1]].stop)
        torch.index_select(dy, 0, token[here], out=douts[here])
        row_gradients[here] = torch.linalg.vecdot(douts[here], out[here])
        douts[here] *= row_weights[here]
        for e in batch:
            torch.mm(douts[spans[e]], down_weights[e], out=dh[spans[e]])
        swiglu_gradient(both[here], dh[here], dboth[here])
        for e in batch:
            torch.mm(dboth[spans[e]], up_weights[e], out=dinputs[spans[e]])
        dx.index_add_(0, token[here], dinputs[here])
    dweights = torch.empty(rows).index_copy_(0, order, row_gradients).view(tokens, top)
    picked = scores.gather(1, chosen)
    total = picked.sum(-1, keepdim=True) + 1e-20
    pull = (dweights * picked).sum(-1, keepdim=True) / total**2
    dlogits = torch.zeros_like(scores).scatter_(1, chosen, 2.5 * (dweights / total - pull)) * scores * (1 - scores)
    dx += dlogits @ gate_weight
    if has_shared:
        shared_dboth = torch.empty_like(shared_both)
        swiglu_gradient(shared_both, dy @ shared_down, shared_dboth)
        dx += shared_dboth @ shared_up
    dup, ddown = buffer("dup", experts, 2 * inner, hidden), buffer("ddown", experts, hidden, inner)
    for e in range(experts):
        torch.mm(dboth[spans[e]].T, inputs[spans[e]], out=dup[e])
        torch.mm(douts[spans[e]].T, h[spans[e]], out=ddown[e])
    gradients = [dlogits.T @ x]
    if has_shared:
        gradients += [shared_dboth.T @ x, dy.T @ shared_h]
    return [clock(), start]


def clock():
    return time.perf_counter(), time.process_time()


if variant == "autograd":
    own_up = [up_weights[e].clone() for e in range(experts)]
    own_down = [down_weights[e].clone() for e in range(experts)]
run = {
    "autograd": autograd, "grouped": grouped, "staged": lambda: by_hand(False), "local": lambda: by_hand(True),
}[variant]
times = []
for _ in range(repeats + 1):
    end, start = run()
    times.append([end[0] - start[0], end[1] - start[1]])
best = [min(column) for column in zip(*times[1:])]
print(json.dumps({"case": case, "variant": variant, "threads": threads, "total": best[0], "total_cpu": best[1]}))
