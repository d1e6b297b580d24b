# The cluster image: one for the head, the workers and the command line.
#   docker build -t hdvg .
#   docker run --init --rm -v "$PWD:/data" hdvg run demo --links links.txt --out my-dataset
#   a Ray node:  docker run --init --network host --shm-size 2g -v /shared:/data --entrypoint ray hdvg start --address HEAD:6379 --block
# The dataset's folder must be mounted at the same path on all nodes. With a GPU: add --gpus all.
FROM python:3.11-slim-bookworm

# Needed by nothing in hdvg itself: wget is what KubeRay's health checks call.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RAY_USAGE_STATS_ENABLED=0

# Packages besides: KubeRay wants MORE='ray[default]', whose dashboard takes its jobs and answers its health checks.
ARG MORE=""

WORKDIR /src

# The dependencies are a layer of their own: a change of our code does not download torch again.
# A bare package of the same name and extras stands in for ours.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir hdvg pipelines schemas \
    && touch hdvg/__init__.py pipelines/__init__.py schemas/__init__.py \
    && pip install -c constraints.txt '.[bucket,caption,export,measure,shots,train,web]' ${MORE} \
    && pip uninstall -y hdvg \
    && rm -rf hdvg pipelines schemas build ./*.egg-info

COPY schemas schemas
COPY hdvg hdvg
COPY pipelines pipelines
RUN pip install --no-deps . && rm -rf build ./*.egg-info

# A fixed id, so that a shared file system can give it the dataset's folder.
RUN useradd --uid 10001 --create-home --shell /bin/bash hdvg \
    && install -d -o hdvg -g hdvg /data
USER 10001
WORKDIR /data

ENTRYPOINT ["hdvg"]
CMD ["--help"]
