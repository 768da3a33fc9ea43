#!/usr/bin/env python3
"""Reads Chakra traces with protobuf's own Python classes and prints what they hold, one JSON line a file.

Use: chakra_peer.py FILE.et...
The messages are those of MLCommons' et_def.proto, declared here field by field, so that neither a compiler for .proto
files nor any code of this project takes part. Exits with 1 where a file does not parse, has bytes that are no message, or
has a field that the schema does not know; with 77 where protobuf is not installed.
"""
import gzip
import json
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    sys.exit(77)

F = descriptor_pb2.FieldDescriptorProto
# Each scalar of AttributeProto's value has its list as the next field.
SCALARS = ["double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
           "sfixed64", "bool", "string", "bytes"]
NODE_TYPES = ["INVALID", "METADATA", "MEM_LOAD", "MEM_STORE", "COMP", "COMM_SEND", "COMM_RECV", "COMM_COLL"]
COLLECTIVES = ["ALL_REDUCE", "REDUCE", "ALL_GATHER", "GATHER", "SCATTER", "BROADCAST", "ALL_TO_ALL", "REDUCE_SCATTER",
               "REDUCE_SCATTER_BLOCK", "BARRIER"]


def schema():
    file = descriptor_pb2.FileDescriptorProto(name="et_def.proto", package="ChakraProtoMsg", syntax="proto3")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, field, kind, repeated, of in fields:
            made.field.add(name=field, number=number, type=kind, type_name=of and f".ChakraProtoMsg.{of}",
                           label=F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL)
        return made

    types = file.enum_type.add(name="NodeType")
    for number, name in enumerate(NODE_TYPES):
        types.value.add(name=f"{name}_NODE", number=number)
    attribute = message("AttributeProto", (1, "name", F.TYPE_STRING, False, None),
                        (2, "doc_string", F.TYPE_STRING, False, None))
    attribute.oneof_decl.add(name="value")
    for place, scalar in enumerate(SCALARS):
        kind = getattr(F, f"TYPE_{scalar.upper()}")
        of = f"{scalar.capitalize()}List"
        message(of, (1, "values", kind, True, None))
        attribute.field.add(name=f"{scalar}_val", number=3 + 2 * place, type=kind, label=F.LABEL_OPTIONAL, oneof_index=0)
        attribute.field.add(name=f"{scalar}_list", number=4 + 2 * place, type=F.TYPE_MESSAGE, label=F.LABEL_OPTIONAL,
                            type_name=f".ChakraProtoMsg.{of}", oneof_index=0)
    message("IOInfo", *((n, field, F.TYPE_STRING, False, None) for n, field in enumerate(["values", "shapes", "types"], 1)))
    message("GlobalMetadata", (1, "version", F.TYPE_STRING, False, None),
            (2, "attr", F.TYPE_MESSAGE, True, "AttributeProto"))
    message("Node", (1, "id", F.TYPE_UINT64, False, None), (2, "name", F.TYPE_STRING, False, None),
            (3, "type", F.TYPE_ENUM, False, "NodeType"), (4, "ctrl_deps", F.TYPE_UINT64, True, None),
            (5, "data_deps", F.TYPE_UINT64, True, None), (6, "start_time_micros", F.TYPE_UINT64, False, None),
            (7, "duration_micros", F.TYPE_UINT64, False, None), (8, "inputs", F.TYPE_MESSAGE, False, "IOInfo"),
            (9, "outputs", F.TYPE_MESSAGE, False, "IOInfo"), (10, "attr", F.TYPE_MESSAGE, True, "AttributeProto"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ChakraProtoMsg.{name}"))
            for name in ("GlobalMetadata", "Node")]


def messages(data):
    place = 0
    while place < len(data):
        length = shift = 0
        while True:
            byte = data[place]
            place += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if place + length > len(data):
            raise ValueError(f"a message of {length} bytes at byte {place} is cut off")
        yield data[place:place + length]
        place += length


def whole(kind, data):
    """The message, which must hold nothing that the schema does not know: written again it is as long."""
    message = kind()
    message.ParseFromString(data)
    known = kind()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if known.ByteSize() != message.ByteSize():
        raise ValueError("a field is not in the schema")
    return message


def attributes(message):
    return {a.name: getattr(a, a.WhichOneof("value")) for a in message.attr if a.WhichOneof("value")}


def main():
    metadata_kind, node_kind = schema()
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        stream = messages(data)
        metadata = whole(metadata_kind, next(stream))
        summary = {"version": metadata.version, "nodes": 0, "types": {}, "collectives": {}, "data_deps": 0,
                   "duration_micros": 0, "operations": 0, "messages": [], "groups": [], "splits": 0, "host": 0}
        ids, named = set(), set()
        for raw in stream:
            node = whole(node_kind, raw)
            if node.id in ids:
                raise ValueError(f"id {node.id} stands twice")
            ids.add(node.id)
            named.update(node.data_deps)
            said = attributes(node)
            kind = NODE_TYPES[node.type]
            summary["nodes"] += 1
            summary["types"][kind] = summary["types"].get(kind, 0) + 1
            summary["data_deps"] += len(node.data_deps)
            summary["duration_micros"] += node.duration_micros
            summary["host"] += said.get("is_cpu_op", False)
            if kind == "COMP":
                summary["operations"] += said.get("num_ops", 0)
            if kind == "COMM_COLL":
                count = summary["collectives"].setdefault(COLLECTIVES[said["comm_type"]], [0, 0])
                count[0] += 1
                count[1] += said["comm_size"]
                summary["groups"].append(said.get("pg_name", ""))
            if kind in ("COMM_SEND", "COMM_RECV"):
                summary["messages"].append([said.get(key) for key in ("comm_src", "comm_dst", "comm_tag", "comm_size")])
            if "rehearsal_input_splits" in said:
                summary["splits"] += sum(said["rehearsal_input_splits"].values)
        summary["dangling"] = len(named - ids)
        print(json.dumps(summary))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever is wrong with a file, the test wants to see it
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
