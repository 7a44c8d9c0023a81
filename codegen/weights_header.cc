/* SPDX-License-Identifier: Apache-2.0 */
/* Encodes and decodes the header of foo.weights: see weights_header.h. */
#include "codegen/weights_header.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "codegen/weights_generated.h"

namespace fb = flatbuffers;
using namespace hadm::weights;

namespace {

Hash hash_of(const uint8_t *bytes)
{
    Hash hash;

    std::memcpy(&hash, bytes, sizeof hash);
    return hash;
}

fb::Offset<Tensor> encode_tensor(fb::FlatBufferBuilder &b, const weights_tensor &t)
{
    const auto name = b.CreateString(t.name);
    const auto dims = b.CreateVector(t.dim, static_cast<size_t>(t.rank));

    return CreateTensor(b, name, static_cast<uint8_t>(t.dtype), dims, t.offset, t.bytes,
                        t.layer);
}

fb::Offset<Origin> encode_origin(fb::FlatBufferBuilder &b, const weights_header &h)
{
    const auto tool = b.CreateString(h.tool), llvm = b.CreateString(h.llvm);
    const auto target = b.CreateString(h.target), cpu = b.CreateString(h.cpu);
    const auto options = b.CreateString(h.options), model = b.CreateString(h.model);
    const Hash sha256 = h.model_sha256 ? hash_of(h.model_sha256) : Hash();

    return CreateOrigin(b, tool, llvm, target, cpu, options, model,
                        h.model_sha256 ? &sha256 : nullptr, h.opset, h.seed);
}

void encode(fb::FlatBufferBuilder &b, const weights_header &h)
{
    std::vector<fb::Offset<Tensor>> tensors;

    b.ForceDefaults(true); /* the size must not depend on the numbers */
    for (int i = 0; i < h.n_tensors; i++)
        tensors.push_back(encode_tensor(b, h.tensors[i]));

    const auto tensor_list = b.CreateVector(tensors);
    const auto digests = b.CreateVectorOfStructs(
        reinterpret_cast<const Hash *>(h.digests), static_cast<size_t>(h.n_digests));
    const auto origin = encode_origin(b, h);
    const Hash structure = hash_of(h.structure_hash);

    FinishWeightsBuffer(b, CreateWeights(b, h.format_major, h.format_minor, &structure,
                                         h.payload_offset, h.payload_bytes, digests,
                                         tensor_list, origin));
}

const char *text_of(const fb::String *s)
{
    return s ? s->c_str() : "";
}

} // namespace

uint8_t *weights_header_encode(const weights_header *h, size_t *n_bytes)
try {
    fb::FlatBufferBuilder b;

    encode(b, *h);
    auto *out = static_cast<uint8_t *>(std::malloc(b.GetSize()));

    if (out)
        std::memcpy(out, b.GetBufferPointer(), b.GetSize());
    *n_bytes = b.GetSize();
    return out;
} catch (...) {
    return nullptr;
}

void weights_header_decode(const uint8_t *bytes, weights_header *out, int room)
{
    const Weights *w = GetWeights(bytes);
    const Origin *o = w->origin();

    out->format_major = w->format_major();
    out->format_minor = w->format_minor();
    out->structure_hash = w->structure_hash()->bytes()->data();
    out->payload_offset = w->payload_offset();
    out->payload_bytes = w->payload_bytes();
    out->n_digests = w->digests()->size();
    out->digests = w->digests()->Data();
    out->tool = text_of(o->tool());
    out->llvm = text_of(o->llvm());
    out->target = text_of(o->target());
    out->cpu = text_of(o->cpu());
    out->options = text_of(o->options());
    out->model = text_of(o->model());
    out->model_sha256 = o->model_sha256() ? o->model_sha256()->bytes()->data() : nullptr;
    out->opset = o->opset();
    out->seed = o->seed();
    out->n_tensors = static_cast<int>(w->tensors()->size());
    for (int i = 0; i < out->n_tensors && i < room; i++) {
        const Tensor *t = w->tensors()->Get(static_cast<fb::uoffset_t>(i));
        const auto *dims = t->dims();

        out->tensors[i] = {t->name()->c_str(), t->dtype(),
                           dims ? static_cast<int>(dims->size()) : 0,
                           dims ? dims->data() : nullptr, t->offset(), t->bytes(), t->layer()};
    }
}

int weights_header_verify(const uint8_t *bytes, size_t len)
{
    fb::Verifier verifier(bytes, len);

    return VerifyWeightsBuffer(verifier);
}
