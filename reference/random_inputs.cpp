// Fills the tensors of a call row by row: a row is the elements of one (sequence, token, head).
#include "reference/random_inputs.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <stdexcept>

#include "reference/random.h"
#include "reference/words.h"

namespace attest {
namespace {

// The elements of one row of one tensor.
struct Row {
  std::uint64_t seed = 0;
  std::uint64_t still_seed = 0;  // the seed of the same row of token 0
  std::uint64_t stream = 0;
  Index token = 0;
  Index width = 0;

  double normal(Index element) const {
    return random_normal(seed, stream, static_cast<std::uint64_t>(element));
  }
  double uniform(Index element) const {
    return random_uniform(seed, stream, static_cast<std::uint64_t>(element));
  }
  // -range..range, each equally likely.
  double integer(Index element, int range) const {
    return std::floor(uniform(element) * (2 * range + 1)) - range;
  }
};
using Law = std::function<double(const Row&, Index element)>;

// Every row's seed hangs on its coordinates and not on the shape around it.
Row row_of(std::uint64_t seed, Stream stream, Index batch, Index token, Index head, Index width) {
  const auto number = static_cast<std::uint64_t>(stream);
  std::uint64_t still = random_bits(seed, number, static_cast<std::uint64_t>(batch));
  still = random_bits(still, number, static_cast<std::uint64_t>(head));
  return {random_bits(still, number, static_cast<std::uint64_t>(token)), random_bits(still, number, 0),
          number, token, width};
}

// A fixed pattern of signs, the same for queries and keys, so that its products add up.
double sign(Index element) { return (mix(static_cast<std::uint64_t>(element)) & 1) != 0 ? 1.0 : -1.0; }

// [outer.., heads, width] from one law; `batch` and the first token's number complete the coordinates.
Tensor<double> filled(std::vector<Index> shape, std::uint64_t seed, Stream stream, Index batch,
                      Format storage, const Law& law) {
  Tensor<double> tensor(shape);
  const Index tokens = shape[0], heads = shape[1], width = shape[2];
  const double largest = info(storage).largest;
  for (Index token = 0; token < tokens; ++token) {
    for (Index head = 0; head < heads; ++head) {
      const Row row = row_of(seed, stream, batch, token, head, width);
      double* out = tensor.data() + (token * heads + head) * width;
      for (Index i = 0; i < width; ++i) {
        out[i] = round_to(storage, std::clamp(law(row, i), -largest, largest));
      }
    }
  }
  return tensor;
}

// The laws of one sequence's tensors. Scores are scale * <query, key>, so a common pattern of height a in the
// query and c in the key adds scale * width * a * c to them.
struct Laws {
  Law query, key, value, rope_query, rope_key;
};

Laws laws_of(DataFamily family, double scale, Index tokens, bool latent, double offset) {
  const Law normal = [](const Row& row, Index i) { return row.normal(i); };
  Laws laws{normal, normal, normal, normal, normal};
  switch (family) {
    case DataFamily::normal:
      break;
    case DataFamily::peaked:
      laws.query = laws.rope_query = [](const Row& row, Index i) { return 8 * row.normal(i); };
      break;
    case DataFamily::rising:
    case DataFamily::falling: {
      constexpr double kClimb = 24;
      laws.query = [](const Row& row, Index i) { return sign(i) + 0.25 * row.normal(i); };
      laws.key = [=](const Row& row, Index i) {
        const double share =
            tokens > 1 ? static_cast<double>(row.token) / static_cast<double>(tokens - 1) : 0;
        const double height = kClimb * (family == DataFamily::rising ? share : 1 - share);
        return height / (scale * static_cast<double>(row.width)) * sign(i) + 0.25 * row.normal(i);
      };
      break;
    }
    case DataFamily::constant_values: {
      const Law constant = [](const Row& row, Index i) {
        return random_normal(row.still_seed, row.stream, static_cast<std::uint64_t>(i));
      };
      (latent ? laws.key : laws.value) = constant;
      break;
    }
    case DataFamily::one_hot: {
      const Law one_hot = [](const Row& row, Index i) { return i == row.token % row.width ? 1.0 : 0.0; };
      (latent ? laws.key : laws.value) = one_hot;
      break;
    }
    case DataFamily::dyadic:
      // Queries have one element in four, so that scores stay small integers.
      laws.query = laws.rope_query = [](const Row& row, Index i) {
        return (i % 4 == 0 && i < 32) ? row.integer(i, 1) : 0.0;
      };
      laws.key = laws.rope_key = [](const Row& row, Index i) { return row.integer(i, 1); };
      laws.value = [](const Row& row, Index i) { return row.integer(i, 4); };
      break;
    case DataFamily::large_offset:
      laws.query = [](const Row& row, Index i) { return sign(i) + 0.25 * row.normal(i); };
      laws.key = [=](const Row& row, Index i) {
        return offset / (scale * static_cast<double>(row.width)) * sign(i) + 0.25 * row.normal(i);
      };
      break;
  }
  return laws;
}

}  // namespace

DecodeInputs random_decode_inputs(const HeadConfig& heads, const Problem& problem) {
  std::vector<std::string> found = problem.problems();
  for (const std::string& other : heads.problems()) found.push_back(other);
  if (heads.family == Family::factored) found.push_back("family factored: expected grouped or latent");
  if (!found.empty()) throw std::invalid_argument("random_decode_inputs: " + words::join(found, "; "));

  const bool latent = heads.family == Family::latent;
  const bool dyadic = problem.data == DataFamily::dyadic;
  const Index batch = problem.batch(), queries = problem.query_tokens;
  DecodeInputs inputs;
  inputs.heads = heads;
  inputs.scale = round_to(Format::f32, dyadic ? std::numbers::ln2_v<double> : problem.attention.scale());
  inputs.mask = problem.mask;
  inputs.query_tokens = queries;
  const Index query_rows = latent ? heads.rows() : heads.query_heads;
  inputs.queries = Tensor<double>{batch, queries, query_rows, heads.key_dim};
  if (latent) inputs.rope_queries = Tensor<double>{batch, queries, heads.query_heads, heads.rope_dim};
  for (Index b = 0; b < batch; ++b) {
    const Index tokens = problem.cached_tokens[static_cast<std::size_t>(b)];
    const auto sequence = static_cast<std::uint64_t>(b);
    const double exponent =
        6 + 3 * random_uniform(problem.seed, static_cast<std::uint64_t>(Stream::extra), sequence);
    const double offset = std::exp2(exponent) * sign(b + static_cast<Index>(problem.seed % 1024));
    const Laws laws = laws_of(problem.data, inputs.scale, tokens, latent, offset);
    const auto draw = [&](std::vector<Index> shape, Stream stream, const Law& law) {
      return filled(std::move(shape), problem.seed, stream, b, heads.storage, law);
    };
    const auto place = [&](const Tensor<double>& part, Tensor<double>& whole) {
      std::copy(part.data(), part.data() + part.count(), whole.data() + b * part.count());
    };
    place(draw({queries, query_rows, heads.key_dim}, latent ? Stream::latent_queries : Stream::queries,
               laws.query),
          inputs.queries);
    SequenceCache cache;
    cache.left_padding = problem.left_padding[static_cast<std::size_t>(b)];
    cache.keys =
        draw({tokens, heads.kv_heads, heads.key_dim}, latent ? Stream::latents : Stream::keys, laws.key);
    if (latent) {
      place(draw({queries, heads.query_heads, heads.rope_dim}, Stream::queries, laws.rope_query),
            inputs.rope_queries);
      const Tensor<double> rope_keys = draw({tokens, 1, heads.rope_dim}, Stream::rope_keys, laws.rope_key);
      cache.rope_keys = Tensor<double>{tokens, heads.rope_dim};
      std::copy(rope_keys.data(), rope_keys.data() + rope_keys.count(), cache.rope_keys.data());
    } else {
      cache.values = draw({tokens, heads.kv_heads, heads.value_dim}, Stream::values, laws.value);
    }
    inputs.sequences.push_back(std::move(cache));
  }
  return inputs;
}

}  // namespace attest
