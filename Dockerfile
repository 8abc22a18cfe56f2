FROM python:3.11-slim

# LightGBM's OpenMP runtime, which the slim image leaves out.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY features features
COPY models models
COPY serving serving
COPY flows flows
COPY configs configs
# Editable, as in development: configs/ lies beside the packages and is found the same way.
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && python -m compileall -q features models serving flows

# Compiled kernels and library caches go to the user's home; everything Leadline keeps goes to LEADLINE_HOME.
RUN useradd --create-home --uid 10001 leadline \
    && install --directory --owner leadline --group leadline /var/lib/leadline
USER leadline
ENV LEADLINE_HOME=/var/lib/leadline
VOLUME /var/lib/leadline

ENTRYPOINT ["leadline"]
CMD ["--help"]
