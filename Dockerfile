# The image as a container engine builds it. Untested: the one that is tested is that of `make image`, which needs no engine.
FROM rust:1.89-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends cmake libclang-dev
WORKDIR /packwright
COPY . .
RUN cargo build --release --locked && strip target/release/packwright

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 && rm -rf /var/lib/apt/lists/*
COPY --from=build /packwright/target/release/packwright /usr/local/bin/packwright
COPY LICENSE NOTICE /usr/share/doc/packwright/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/packwright"]
