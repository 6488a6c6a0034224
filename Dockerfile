# The image of Sluice: one static program, the certificate authorities of the world, and nobody's user.
#
#   docker build --tag ghcr.io/sluice-dev/sluice:0.1.0 .
#
# No test builds this file: the machines that run them have no container builder. What they check is that the program
# needs no library of the system (`cargo test -p e2e --test chart image`), so that it can be linked against musl alone.

FROM docker.io/library/rust:1.95.0-alpine AS build
# The toolchain of the image: rust-toolchain.toml would have rustup fetch clippy and rustfmt as well.
ENV RUSTUP_TOOLCHAIN=1.95.0
# ring compiles its own C.
RUN apk add --no-cache gcc musl-dev
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package sluice --bin sluice \
    && cp target/release/sluice /sluice

# For `sluice git-sync`, with the commands that it calls: docker build --target git-sync --tag ghcr.io/sluice-dev/sluice-git-sync:0.1.0 .
FROM docker.io/library/alpine:3.22 AS git-sync
RUN apk add --no-cache ca-certificates git openssh-client
COPY --from=build /sluice /usr/local/bin/sluice
# ssh refuses to run for a user without a name.
RUN adduser -D -H -u 65532 sluice
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sluice"]

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /sluice /usr/local/bin/sluice
# By number: `runAsNonRoot` cannot tell by a name.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/sluice"]
