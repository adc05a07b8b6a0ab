# Two images with the versions of constraints.txt, by the same `make install` as everywhere:
#
#   docker build --target cpu -t seed-ct .            everything on the CPU
#   docker build --target cuda -t seed-ct:cuda .      and CUDA's compiler, TIGRE and tiny-cuda-nn
#
#   docker run --rm -v "$PWD/results:/seed/results" -v seed-cache:/cache seed-ct run --methods fdk,sart --datasets phantom
#   docker run --rm --gpus all --entrypoint make seed-ct:cuda gpu-check
#
# torch comes with CUDA by default; for the CPU there is a smaller build: --build-arg PIP_EXTRA_INDEX_URL=..., the index that torch's own
# installation page names for it.

FROM python:3.12-slim-bookworm AS cpu
ARG PIP_EXTRA_INDEX_URL
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /seed
COPY Makefile pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE NOTICE ./
COPY .ci .ci
COPY benchmark benchmark
COPY methods methods
COPY datasets datasets
COPY configs configs
COPY docs docs
COPY examples examples
COPY tests tests
# Data sets and compiled kernels; kernels for another processor than the builder's are compiled when first needed. Open to any --user.
ENV SEED_CACHE=/cache PIP_NO_CACHE_DIR=1 PATH=/seed/.venv/bin:$PATH
RUN mkdir -m 1777 /cache && make install
ENTRYPOINT ["python", "-m", "benchmark"]
CMD ["--help"]

# CUDA of the major version that torch is built for.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS cuda
ARG PIP_EXTRA_INDEX_URL
# Compute capabilities that the engines are built for: no GPU is there to ask while an image is built.
ARG TCNN_CUDA_ARCHITECTURES="80,86,89,90"
ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /seed
COPY Makefile pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE NOTICE ./
COPY .ci .ci
COPY benchmark benchmark
COPY methods methods
COPY datasets datasets
COPY configs configs
COPY docs docs
COPY examples examples
COPY tests tests
ENV SEED_CACHE=/cache PIP_NO_CACHE_DIR=1 PATH=/seed/.venv/bin:$PATH
RUN mkdir -m 1777 /cache && make install && make gpu-engines
ENTRYPOINT ["python", "-m", "benchmark"]
CMD ["--help"]
