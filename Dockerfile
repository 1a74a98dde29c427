# A shardmill worker (and client). Two stages: the compiler and the bundler stay behind.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
ENV NODE_ENV=production \
    SHARDMILL_STORE=/store
WORKDIR /app
# Volumes take over owner and mode of the folders they are mounted on.
RUN mkdir /store /out && chown node:node /store /out
COPY --from=build --chown=root:root /app/package.json ./
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
COPY --from=build --chown=root:root /app/recipes ./recipes
USER node
EXPOSE 9464
# The metrics endpoint answers as long as the process lives and its event loop turns.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/metrics').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/cli/shardmill.cjs"]
CMD ["worker", "--metrics", "0.0.0.0:9464"]
