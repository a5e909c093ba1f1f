#!/usr/bin/env node
// Says how many are left.

import http from "node:http";

const server = http.createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ left: 42 }) + "\n");
});
server.listen(8080, process.env.BIND_IP ?? "0.0.0.0");
