#!/usr/bin/env python3
"""Reads Perfetto traces with protobuf's own Python classes and prints what they hold, one JSON line a file.

Use: perfetto_peer.py FILE.pftrace...
The messages are those of Perfetto's protos/perfetto/trace, declared here field by field, so that neither a compiler for
.proto files nor any code of this project takes part. Exits with 1 where a file does not parse, a slice ends that did not
begin or begins and does not end, or a name is used before it is told; with 77 where protobuf is not installed.
"""
import json
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    sys.exit(77)

F = descriptor_pb2.FieldDescriptorProto
NUMBER, TEXT, SIGNED, INSIDE = F.TYPE_UINT64, F.TYPE_STRING, F.TYPE_INT32, F.TYPE_MESSAGE
MESSAGES = {
    "Named": [(1, "iid", NUMBER, None), (2, "name", TEXT, None)],
    "InternedData": [(2, "+event_names", INSIDE, "Named")],
    "ProcessDescriptor": [(1, "pid", SIGNED, None), (6, "process_name", TEXT, None)],
    "ThreadDescriptor": [(1, "pid", SIGNED, None), (2, "tid", SIGNED, None), (5, "thread_name", TEXT, None)],
    "TrackDescriptor": [(1, "uuid", NUMBER, None), (2, "name", TEXT, None), (3, "process", INSIDE, "ProcessDescriptor"),
                        (4, "thread", INSIDE, "ThreadDescriptor"), (5, "parent_uuid", NUMBER, None)],
    "TrackEvent": [(9, "type", SIGNED, None), (10, "name_iid", NUMBER, None), (11, "track_uuid", NUMBER, None),
                   (23, "name", TEXT, None)],
    "TracePacket": [(8, "timestamp", NUMBER, None), (11, "track_event", INSIDE, "TrackEvent"),
                    (12, "interned_data", INSIDE, "InternedData"), (60, "track_descriptor", INSIDE, "TrackDescriptor")],
    "Trace": [(1, "+packet", INSIDE, "TracePacket")],
}


def schema():
    file = descriptor_pb2.FileDescriptorProto(name="trace.proto", package="perfetto", syntax="proto2")
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for number, field, kind, of in fields:
            made.field.add(name=field.lstrip("+"), number=number, type=kind, type_name=of and f".perfetto.{of}",
                           label=F.LABEL_REPEATED if field[0] == "+" else F.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perfetto.Trace"))


def read(path, trace):
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    processes, tracks, names, open_slices, lanes = {}, {}, {}, {}, {}
    for packet in trace.packet:
        for named in packet.interned_data.event_names:
            names[named.iid] = named.name
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            if track.HasField("process"):
                processes[track.process.pid] = track.process.process_name or track.name
            if track.HasField("thread"):
                tracks[track.uuid] = (track.thread.pid, track.thread.thread_name or track.name)
        if packet.HasField("track_event"):
            event = packet.track_event
            stack = open_slices.setdefault(event.track_uuid, [])
            if event.type == 1:
                stack.append((names[event.name_iid] if event.HasField("name_iid") else event.name, packet.timestamp))
            elif event.type == 2:
                _, start = stack.pop()
                pid, lane = tracks[event.track_uuid]
                sums = lanes.setdefault(f"{processes[pid]}/{lane}", [0, 0])
                sums[0] += 1
                sums[1] += packet.timestamp - start
    if any(open_slices.values()):
        raise ValueError("a slice has no end")
    return lanes


def main():
    trace = schema()
    for path in sys.argv[1:]:
        try:
            print(json.dumps(read(path, trace()), sort_keys=True))
        except Exception as error:  # Whatever is wrong with a file, its name belongs beside it.
            sys.exit(f"{path}: {type(error).__name__}: {error}")


main()
