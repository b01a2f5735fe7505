// The linear algebra of the engine. Matrices lie row by row in a Float64Array; a map is {data, shape}
// of (outputs, inputs), as torch keeps it.

/** x (n, inputs) -> (n, outputs). Four outputs at a time: a sum alone would wait for itself. */
export function linear(x, { data, shape: [outputs, inputs] }, bias) {
  const n = x.length / inputs;
  const out = new Float64Array(n * outputs);
  for (let row = 0; row < n; row++) {
    const at = row * inputs;
    let k = 0;
    for (; k + 3 < outputs; k += 4) {
      let [a, b, c, d] = [0, 0, 0, 0];
      const from = k * inputs;
      for (let i = 0; i < inputs; i++) {
        const value = x[at + i];
        a += value * data[from + i];
        b += value * data[from + inputs + i];
        c += value * data[from + 2 * inputs + i];
        d += value * data[from + 3 * inputs + i];
      }
      out[row * outputs + k] = a;
      out[row * outputs + k + 1] = b;
      out[row * outputs + k + 2] = c;
      out[row * outputs + k + 3] = d;
    }
    for (; k < outputs; k++) out[row * outputs + k] = dot(x, at, data, k * inputs, inputs);
  }
  if (bias) for (let i = 0; i < out.length; i++) out[i] += bias.data[i % outputs];
  return out;
}

/** Some rows of a table. */
export function rows({ data, shape: [, width] }, which) {
  const out = new Float64Array(which.length * width);
  which.forEach((row, i) => out.set(data.subarray(row * width, (row + 1) * width), i * width));
  return out;
}

/** (n, 3 d) -> three of (n, d). */
export function thirds(x, d) {
  return [0, 1, 2].map((part) => {
    const out = new Float64Array(x.length / 3);
    for (let row = 0; row < out.length / d; row++) {
      out.set(x.subarray((3 * row + part) * d, (3 * row + part + 1) * d), row * d);
    }
    return out;
  });
}

export function dot(a, from, b, begin, width) {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += a[from + i] * b[begin + i];
  return sum;
}

/** out[from …] += weight * b[begin …]. */
export function addTo(out, from, weight, b, begin, width) {
  for (let i = 0; i < width; i++) out[from + i] += weight * b[begin + i];
}

export function added(a, b) {
  return a.map((value, i) => value + b[i]);
}

export function relu(x) {
  return x.map((value) => (value > 0 ? value : 0));
}

/** In place; the largest is taken off first, or the exponential may overflow. */
export function softmax(x) {
  let largest = -Infinity;
  for (let i = 0; i < x.length; i++) if (x[i] > largest) largest = x[i];
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] = Math.exp(x[i] - largest);
  for (let i = 0; i < x.length; i++) x[i] /= sum;
}

/** Each row of d by its standard deviation, then scaled and shifted. */
export function layerNorm(x, scale, bias, epsilon) {
  const d = scale.shape[0];
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += d) {
    const row = x.subarray(at, at + d);
    const mean = row.reduce((a, b) => a + b) / d;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / d;
    row.forEach((value, k) => {
      out[at + k] = ((value - mean) / Math.sqrt(variance + epsilon)) * scale.data[k] + bias.data[k];
    });
  }
  return out;
}

/** Each row of d by its root mean square; T5's norm, whose scale is in the map behind it. */
export function rmsNorm(x, d, epsilon) {
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += d) {
    const size = Math.sqrt(dot(x, at, x, at, d) / d + epsilon);
    for (let k = 0; k < d; k++) out[at + k] = x[at + k] / size;
  }
  return out;
}

/** The probability of a logit. */
export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}
