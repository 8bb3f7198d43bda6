/** Returns a node's metrics as Prometheus reads them. */
export async function metricsPage({ opsUrl }) {
  return (await fetch(`${opsUrl}/metrics`)).text();
}

/**
 * Returns a node's metrics: values by name with labels, such as
 * `weir_relay_chunks_total{direction="in",kind="audio"}`.
 */
export async function metrics(node) {
  const lines = (await metricsPage(node)).split("\n").filter((line) => line && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}
