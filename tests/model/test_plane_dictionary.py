import pytest
import torch

from model import plane_dictionary
from model.plane_dictionary import PlaneDictionary, combine, orthonormal_rows


@pytest.mark.parametrize("orthogonality", ["channel", "pixel"])
def test_bases_are_orthonormal_to_1e5(orthogonality):
    torch.manual_seed(0)
    dictionary = PlaneDictionary(20, 48, 24, 24, orthogonality)
    bases = dictionary.bases().flatten(2)
    gram = torch.einsum("ncp,mcp->cnm", bases, bases) if orthogonality == "channel" else None
    if gram is None:
        gram = torch.einsum("ncp,mcp->pnm", bases, bases)
    assert (gram - torch.eye(20)).abs().max() < 1e-5


def test_nearly_dependent_rows_are_orthonormal_too():
    for seed in range(5):
        torch.manual_seed(seed)
        dictionary = PlaneDictionary(6, 6, 32, 32, "pixel")
        with torch.no_grad():
            dictionary.weight.copy_(torch.randn_like(dictionary.weight))
        bases = dictionary.bases().flatten(2)
        assert (torch.einsum("ncp,mcp->pnm", bases, bases) - torch.eye(6)).abs().max() < 1e-5
        bases.sum().backward()
        assert dictionary.weight.grad is not None and dictionary.weight.grad.isfinite().all()


def test_equals_lapacks_qr_with_positive_diagonal_in_value_and_gradient():
    torch.manual_seed(0)
    matrices = torch.randn(4, 6, 40, dtype=torch.float64, requires_grad=True)
    ours = orthonormal_rows(matrices)
    q, r = torch.linalg.qr(matrices.transpose(1, 2))
    sign = torch.sign(torch.diagonal(r, dim1=1, dim2=2))
    reference = (q * sign[:, None]).transpose(1, 2)
    torch.testing.assert_close(ours, reference)
    weights = torch.randn_like(ours)
    (a,) = torch.autograd.grad((ours * weights).sum(), matrices)
    (b,) = torch.autograd.grad((reference * weights).sum(), matrices)
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("orthogonality", "channels"), [("channel", 3), ("pixel", 9), ("pixel", 5)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bases_equal_double_precision_qr_in_value_and_gradient(orthogonality, channels, dtype):
    torch.manual_seed(0)
    dictionary = PlaneDictionary(5, channels, 8, 6, orthogonality).to(dtype)
    sizes = 10 ** torch.randn(5, 1, 1, 1)
    with torch.no_grad():  # correlated, and of sizes far apart
        dictionary.weight.copy_((torch.randn_like(dictionary.weight) + 1) * sizes)
    weight = dictionary.weight.detach().double().requires_grad_()
    # QR of the matrices whose columns are the bases: [channels, HW, N] or [HW, channels, N]
    columns = weight.flatten(2).permute((1, 2, 0) if orthogonality == "channel" else (2, 1, 0))
    q, r = torch.linalg.qr(columns)
    q = q * torch.sign(r.diagonal(dim1=1, dim2=2))[:, None]
    reference = q.permute((2, 0, 1) if orthogonality == "channel" else (2, 1, 0)).reshape(weight.shape)
    ours = dictionary.bases()
    tolerance = 1e-9 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(ours.double(), reference, atol=tolerance, rtol=0)
    directions = torch.randn_like(reference)
    (a,) = torch.autograd.grad((ours * directions.to(dtype)).sum(), dictionary.weight)
    (b,) = torch.autograd.grad((reference * directions).sum(), weight)
    # A basis's gradient scales with one over its size.
    scale = (b * sizes).abs().max().item()
    torch.testing.assert_close(a * sizes / scale, b * sizes / scale, atol=tolerance, rtol=0, check_dtype=False)


def test_gradient_check():
    matrices = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(orthonormal_rows, (matrices,))


@pytest.mark.parametrize("orthogonality", ["channel", "pixel"])
def test_forward_is_the_weighted_sum(orthogonality):
    dictionary = PlaneDictionary(3, 6, 8, 8, orthogonality)
    coefficients = torch.randn(2, 3, 8, 8)
    expected = torch.einsum("bnhw,nchw->bchw", coefficients, dictionary.gain * dictionary.bases())
    torch.testing.assert_close(dictionary(coefficients), expected, atol=1e-5, rtol=1e-5)


def test_gain_brings_the_bases_to_unit_rms():
    dictionary = PlaneDictionary(5, 6, 16, 16)
    rms = (dictionary.gain * dictionary.bases()).square().mean((2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.ones_like(rms))


def test_retraction_changes_the_parameter_but_not_the_function():
    dictionary = PlaneDictionary(4, 3, 8, 8)
    with torch.no_grad():
        dictionary.weight *= 3
    before = dictionary.bases()
    dictionary.retract()
    torch.testing.assert_close(dictionary.bases(), before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(dictionary.weight, dictionary.gain * before, atol=1e-4, rtol=1e-4)


def test_impossible_dictionaries_are_refused():
    with pytest.raises(ValueError, match="7 bases cannot be orthonormal in 6"):
        PlaneDictionary(7, 6, 8, 8, "pixel")
    with pytest.raises(ValueError, match="orthogonality"):
        PlaneDictionary(2, 6, 8, 8, "rows")


@pytest.mark.parametrize("orthogonality", ["channel", "pixel"])
def test_compiled_bases_equal_pytorchs_in_double_precision(orthogonality):
    """21 × 7 texels fill no tile; a few texels have nearly dependent vectors."""
    torch.manual_seed(0)
    dictionary = PlaneDictionary(6, 9, 21, 7, orthogonality)
    with torch.no_grad():
        dictionary.weight[3, :, 2] = dictionary.weight[1, :, 2] + 0.05 * torch.randn(9, 7)
    slope = torch.randn(6, 9, 21, 7)
    (ours,) = torch.autograd.grad(dictionary.bases(), dictionary.weight, slope)
    bases = dictionary.bases()
    exact = dictionary.double()
    torch.testing.assert_close(bases, exact.bases().float(), atol=1e-5, rtol=1e-4)
    (plain,) = torch.autograd.grad(exact.bases(), exact.weight, slope.double())
    torch.testing.assert_close(ours, plain.float(), atol=2e-4 * plain.abs().max().item(), rtol=1e-3)


@pytest.mark.parametrize("orthogonality", ["channel", "pixel"])
def test_dependent_bases_are_refused(orthogonality):
    dictionary = PlaneDictionary(4, 6, 8, 8, orthogonality)
    with torch.no_grad():
        dictionary.weight[2] = 0
    with pytest.raises(torch.linalg.LinAlgError):
        dictionary.bases()


def test_the_compiled_sum_equals_pytorchs_in_value_and_gradient(monkeypatch):
    torch.manual_seed(0)
    inputs = [torch.randn(3, 6, 17, 33, requires_grad=True), torch.randn(6, 5, 17, 33, requires_grad=True)]
    slope = torch.randn(3, 5, 17, 33)
    compiled = combine(*inputs)
    gradients = torch.autograd.grad(compiled, inputs, slope)
    monkeypatch.setattr(plane_dictionary, "compilable", lambda *_: False)
    torch.testing.assert_close(compiled, combine(*inputs))
    for ours, plain in zip(gradients, torch.autograd.grad(combine(*inputs), inputs, slope), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
