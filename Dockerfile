# An image for Spark on Kubernetes, for drivers and executors alike: Spark's own with this package.
#
#   docker build -t registry.example/train:1 .
#
# SPARK is an image of https://hub.docker.com/r/apache/spark with Python 3.10 or later, and PYSPARK
# its version. TORCH_INDEX has PyTorch's builds for the CPU; for GPUs give an index of CUDA builds.
ARG SPARK=apache/spark:4.0.1-scala2.13-java17-python3-ubuntu
FROM ${SPARK}

ARG PYSPARK=4.0.1
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY setup.cfg pyproject.toml README.md LICENSE /tmp/package/
COPY elephas_torch /tmp/package/elephas_torch
RUN python3 -m venv /opt/train \
    && /opt/train/bin/pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" \
        "pyspark==${PYSPARK}" /tmp/package \
    && rm -rf /tmp/package

ENV PYSPARK_PYTHON=/opt/train/bin/python \
    PYSPARK_DRIVER_PYTHON=/opt/train/bin/python
USER spark
