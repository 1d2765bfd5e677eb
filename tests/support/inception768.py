"""FID's Inception-v3 as far as its 768 features, from weights whose batch norms lie folded in the convolutions."""

from collections import OrderedDict

import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, InceptionA, InceptionB, InceptionC


def _folded(network: nn.Module) -> nn.Module:
    """`network` with a bias in place of each batch norm."""
    for module in network.modules():
        if isinstance(module, BasicConv2d):
            of = module.conv
            module.conv = nn.Conv2d(of.in_channels, of.out_channels, of.kernel_size, of.stride, of.padding)
            module.bn = nn.Identity()
    return network


def inception768(weights: str) -> nn.Module:
    """Feature maps (N, 768, 17, 17) of RGB pictures (N, 3, 299, 299) in [-1, 1], from the file `weights`."""
    network = _folded(
        nn.Sequential(
            OrderedDict[str, nn.Module](
                Conv2d_1a_3x3=BasicConv2d(3, 32, kernel_size=3, stride=2),
                Conv2d_2a_3x3=BasicConv2d(32, 32, kernel_size=3),
                Conv2d_2b_3x3=BasicConv2d(32, 64, kernel_size=3, padding=1),
                pool_1=nn.MaxPool2d(3, 2),
                Conv2d_3b_1x1=BasicConv2d(64, 80, kernel_size=1),
                Conv2d_4a_3x3=BasicConv2d(80, 192, kernel_size=3),
                pool_2=nn.MaxPool2d(3, 2),
                Mixed_5b=InceptionA(192, pool_features=32),
                Mixed_5c=InceptionA(256, pool_features=64),
                Mixed_5d=InceptionA(288, pool_features=64),
                Mixed_6a=InceptionB(288),
                Mixed_6b=InceptionC(768, channels_7x7=128),
                Mixed_6c=InceptionC(768, channels_7x7=160),
                Mixed_6d=InceptionC(768, channels_7x7=160),
                Mixed_6e=InceptionC(768, channels_7x7=192),
            )
        )
    )
    held = torch.load(weights, map_location="cpu", weights_only=True)
    wanted = {name: held[name.replace(".conv.", ".")] for name in network.state_dict()}
    network.load_state_dict(wanted)
    return network
