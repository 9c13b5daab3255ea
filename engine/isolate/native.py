"""Every native symbol and memory layout of V8 that this program relies on, in one place.

The mini-racer wheel's shared library exports V8's whole C++ API under Itanium-mangled names. What is
here was read from V8 14.4's public headers (v8-*.h) or, where marked *private*, from the machine
code of the 0.14.1 wheel. ``engine.isolate.selftest`` checks all of it before any guest code runs.

Nothing here releases the GIL (``PyDLL``): a worker has one thread, and V8 calls back into Python.
"""

from __future__ import annotations

import ctypes as c
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

MINI_RACER_VERSION = "0.14.1"
V8_VERSION = "14.4.258.23"
FLAGS: tuple[str, ...] = (
    "--single-threaded",  # no helper threads: fork() keeps the whole isolate
    "--enable-sharedarraybuffer-per-context",  # keeps SharedArrayBuffer out of contexts
    "--stack-size=900",  # KiB; the real limit is set for each execution
    # A loop that gets hot in its first call goes to TurboFan. Through Maglev it would stay there in
    # this V8, with every built-in a call: ten times slower on Math.imul.
    "--no-maglev-osr",
    # Hot WebAssembly is optimized at once: elsewhere a helper thread would do it, and here nobody.
    "--wasm-sync-tier-up",
    # The same image comes out whenever it is built, so that snapshots outlive the cache folder; a session
    # that floods its own hash tables harms only itself.
    "--hash-seed=1",
    "--no-rehash-snapshot",
    "--random-seed=1",
    # Else an isolate that can become a snapshot keeps the strings that are keys among its constants, for
    # which there are 16 MB in all and no garbage collection; V8 ends the process when they are full.
    "--no-extensible-ro-snapshot",
)
ARCHITECTURES = ("x86_64", "aarch64")

# --- layouts, in bytes -------------------------------------------------------------------------

# v8::Isolate::CreateParams (v8-isolate.h)
PARAMS_SIZE = 160
PARAMS_MAX_OLD_GENERATION = 16
PARAMS_SNAPSHOT_BLOB = 64
PARAMS_ALLOCATOR = 96
PARAMS_EXTERNAL_REFERENCES = 120
PARAMS_ALLOW_ATOMICS_WAIT = 128

# v8::FunctionCallbackInfo (v8-function-callback.h): {implicit_args*, values*, length}
CALLBACK_RETURN_SLOT = 24  # into implicit_args
CALLBACK_ISOLATE_SLOT = 8

TRY_CATCH_SIZE = 48  # v8::TryCatch (v8-exception.h)
UTF8_VALUE_SIZE = 16  # v8::String::Utf8Value: {char*, size_t}
SNAPSHOT_CREATOR_SIZE = 8  # v8::SnapshotCreator: one pointer

# v8::ArrayBuffer::Allocator's virtual table (v8-array-buffer.h)
ALLOCATOR_SLOTS = 8
ALLOCATOR_ALLOCATE = 2
ALLOCATOR_FREE = 4

# std::__Cr::vector<v8::Global<v8::String>>: {begin*, end*, capacity_end*} (libc++); a Global is the
# address of its slot
VECTOR_WORDS = 3

# v8::WeakCallbackInfo (v8-weak-callback-info.h): {isolate*, parameter, callback*, fields[2]}
WEAK_CALLBACK_WORDS = 5

# *private* v8::internal::Isolate::serializer_enabled_: SnapshotCreatorImpl::InitInternal stores 1
# there. While it is 0 the optimizing compilers run; CreateBlob demands 1.
SERIALIZER_ENABLED = 0x10270

# *private* the v8::internal::Heap in an isolate: Isolate::LowMemoryNotification adds it before it calls the
# heap's garbage collection.
HEAP = 0xF150
HEAP_ITERATOR_SIZE = 512  # *private* v8::internal::HeapObjectIterator, generously
NO_FILTERING = 0  # *private* v8::internal::HeapObjectsFiltering
GC_FOR_SNAPSHOT = 14  # *private* v8::internal::GarbageCollectionReason: kSnapshotCreator

# Smi (pointer-compressed builds): a small integer n is the 32-bit word n << 1.
SMI_SHIFT = 1

# Any other value is a tagged pointer, 1 above the object; its first word is the tagged pointer to the
# object's map in the same 4 GB, where the instance type is (v8-internal.h, kMapInstanceTypeOffset).
MAP_INSTANCE_TYPE = 8
CAGE_MASK = 0xFFFF_FFFF
JS_OBJECT_TYPE = 1057  # v8-internal.h, kJSObjectType
JS_ARRAY_TYPE = 2119  # *private* objects of no other kind have these types, so no brand is asked for


class StartupData(c.Structure):
    """v8::StartupData (v8-snapshot.h)."""

    _fields_ = (("data", c.c_void_p), ("raw_size", c.c_int))


class SerializeCallback(c.Structure):
    """v8::SerializeInternalFieldsCallback and its relatives: {callback, data}, by value."""

    _fields_ = (("callback", c.c_void_p), ("data", c.c_void_p))


class PromiseRejectMessage(c.Structure):
    """v8::PromiseRejectMessage (v8-promise.h), passed by value."""

    _fields_ = (("promise", c.c_void_p), ("event", c.c_int), ("value", c.c_void_p))


NO_CALLBACK = SerializeCallback(None, None)

FunctionCallback = c.PYFUNCTYPE(None, c.c_void_p)
NearHeapLimitCallback = c.PYFUNCTYPE(c.c_size_t, c.c_void_p, c.c_size_t, c.c_size_t)
FatalCallback = c.PYFUNCTYPE(None, c.c_char_p, c.c_char_p)
OutOfMemoryCallback = c.PYFUNCTYPE(None, c.c_char_p, c.c_void_p)
PromiseRejectCallback = c.PYFUNCTYPE(None, PromiseRejectMessage)
AllocateCallback = c.PYFUNCTYPE(c.c_void_p, c.c_void_p, c.c_size_t)
FreeCallback = c.PYFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_size_t)


class Symbol(NamedTuple):
    """A native function: its mangled name and C types."""

    mangled: str
    result: Any
    args: tuple[Any, ...]


_ptr, _int, _bool, _size = c.c_void_p, c.c_int, c.c_bool, c.c_size_t
_cell = c.POINTER(c.c_uint64)

_L_CONTEXT = "NS_5LocalINS_7ContextEEE"

SYMBOLS: dict[str, Symbol] = {
    "version": Symbol("_ZN2v82V810GetVersionEv", c.c_char_p, ()),
    # isolate
    "isolate_allocate": Symbol("_ZN2v87Isolate8AllocateEv", _ptr, ()),
    "params_init": Symbol("_ZN2v87Isolate12CreateParamsC1Ev", None, (_ptr,)),
    "creator_init": Symbol(
        "_ZN2v815SnapshotCreatorC1EPNS_7IsolateERKNS1_12CreateParamsE", None, (_ptr, _ptr, _ptr)
    ),
    "creator_set_default_context": Symbol(
        f"_ZN2v815SnapshotCreator17SetDefaultContextE{_L_CONTEXT}NS_31SerializeInternalFieldsCallbackE"
        "NS_28SerializeContextDataCallbackENS_27SerializeAPIWrapperCallbackE",
        None,
        (_ptr, _ptr, SerializeCallback, SerializeCallback, SerializeCallback),
    ),
    "creator_add_data": Symbol(
        f"_ZN2v815SnapshotCreator7AddDataE{_L_CONTEXT}m", _size, (_ptr, _ptr, c.c_uint64)
    ),
    "creator_blob": Symbol(
        "_ZN2v815SnapshotCreator10CreateBlobENS0_20FunctionCodeHandlingE", StartupData, (_ptr, _int)
    ),
    "creator_free": Symbol("_ZN2v815SnapshotCreatorD1Ev", None, (_ptr,)),
    "isolate_dispose": Symbol("_ZN2v87Isolate7DisposeEv", None, (_ptr,)),
    "default_allocator": Symbol("_ZN2v811ArrayBuffer9Allocator19NewDefaultAllocatorEv", _ptr, ()),
    "set_microtasks_policy": Symbol(
        "_ZN2v87Isolate19SetMicrotasksPolicyENS_16MicrotasksPolicyE", None, (_ptr, _int)
    ),
    "set_allow_atomics_wait": Symbol("_ZN2v87Isolate19SetAllowAtomicsWaitEb", None, (_ptr, _bool)),
    "run_microtasks": Symbol("_ZN2v87Isolate26PerformMicrotaskCheckpointEv", None, (_ptr,)),
    "set_stack_limit": Symbol("_ZN2v87Isolate13SetStackLimitEm", None, (_ptr, c.c_uint64)),
    "throw_stack_overflow": Symbol(
        "_ZN2v88internal7Isolate13StackOverflowEv", c.c_uint64, (_ptr,)
    ),  # *private*
    "terminate": Symbol("_ZN2v87Isolate18TerminateExecutionEv", None, (_ptr,)),
    "cancel_terminate": Symbol("_ZN2v87Isolate24CancelTerminateExecutionEv", None, (_ptr,)),
    "set_reject_callback": Symbol(
        "_ZN2v87Isolate24SetPromiseRejectCallbackEPFvNS_20PromiseRejectMessageEE", None, (_ptr, _ptr)
    ),
    "add_heap_callback": Symbol(
        "_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_", None, (_ptr, _ptr, _ptr)
    ),
    "remove_heap_callback": Symbol(
        "_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm", None, (_ptr, _ptr, _size)
    ),
    "set_fatal_callback": Symbol("_ZN2v87Isolate20SetFatalErrorHandlerEPFvPKcS2_E", None, (_ptr, _ptr)),
    "set_oom_callback": Symbol(
        "_ZN2v87Isolate18SetOOMErrorHandlerEPFvPKcRKNS_10OOMDetailsEE", None, (_ptr, _ptr)
    ),
    "deoptimize_all": Symbol(
        "_ZN2v88internal11Deoptimizer13DeoptimizeAllEPNS0_7IsolateE", None, (_ptr,)
    ),  # *private*
    # *private*: all objects that are alive
    "collect_garbage": Symbol(
        "_ZN2v88internal4Heap26CollectAllAvailableGarbageENS0_23GarbageCollectionReasonE", None, (_ptr, _int)
    ),
    "heap_walk_init": Symbol(
        "_ZN2v88internal18HeapObjectIteratorC1EPNS0_4HeapENS1_20HeapObjectsFilteringE",
        None,
        (_ptr, _ptr, _int),
    ),
    "heap_walk_next": Symbol("_ZN2v88internal18HeapObjectIterator4NextEv", c.c_uint64, (_ptr,)),
    "heap_walk_free": Symbol("_ZN2v88internal18HeapObjectIteratorD1Ev", None, (_ptr,)),
    # the number under which metrics know a context, and a weak callback that forgets it
    "metrics_id": Symbol(f"_ZN2v87metrics8Recorder12GetContextIdE{_L_CONTEXT}", c.c_uint64, (_ptr,)),
    "forget_metrics_id": Symbol(
        "_ZN2v88internal7Isolate23RemoveContextIdCallbackERKNS_16WeakCallbackInfoIvEE", None, (_ptr,)
    ),  # *private*
    # *private*: where failures to allocate pass, see engine.isolate.exhaustion
    "template_string": Symbol(
        "_ZN2v88internal16MessageFormatter14TemplateStringENS0_15MessageTemplateE", c.c_char_p, (_int,)
    ),
    "new_range_error": Symbol(
        "_ZN2v88internal7Factory13NewRangeErrorENS0_15MessageTemplateENS_4base6VectorIKNS0_12DirectHandleI"
        "NS0_6ObjectEEEEE",
        c.c_uint64,
        (_ptr, _int, _ptr, _size),
    ),
    "new_type_error": Symbol(
        "_ZN2v88internal7Factory12NewTypeErrorENS0_15MessageTemplateENS_4base6VectorIKNS0_12DirectHandleI"
        "NS0_6ObjectEEEEE",
        c.c_uint64,
        (_ptr, _int, _ptr, _size),
    ),
    "new_error": Symbol(
        "_ZN2v88internal7Factory8NewErrorENS0_12DirectHandleINS0_10JSFunctionEEENS2_INS0_6StringEEE"
        "NS2_INS0_6ObjectEEE",
        c.c_uint64,
        (_ptr, _ptr, _ptr, _ptr),
    ),
    "fatal_size": Symbol("_ZN2v84base21FatalNoSecurityImpactEPKcz", None, (c.c_char_p,)),
    "memory_pressure": Symbol(
        "_ZN2v88internal4Heap26MemoryPressureNotificationENS_19MemoryPressureLevelEb",
        None,
        (_ptr, _int, _bool),
    ),
    "wasm_memory_grow": Symbol(
        "_ZN2v88internal16WasmMemoryObject4GrowEPNS0_7IsolateENS0_12DirectHandleIS1_EEj",
        c.c_int32,
        (_ptr, _ptr, c.c_uint32),
    ),
    "wasm_memory_new": Symbol(
        "_ZN2v88internal16WasmMemoryObject3NewEPNS0_7IsolateEiiNS0_10SharedFlagENS0_4wasm11AddressTypeE",
        c.c_uint64,
        (_ptr, _int, _int, c.c_uint8, c.c_uint8),
    ),
    # handle scopes: the class is inline in the headers, these are its parts
    "scope_next": Symbol("_ZN2v88internal11HandleScope20current_next_addressEPNS0_7IsolateE", _cell, (_ptr,)),
    "scope_level": Symbol(
        "_ZN2v88internal11HandleScope21current_level_addressEPNS0_7IsolateE", c.POINTER(_int), (_ptr,)
    ),
    "scope_limit": Symbol(
        "_ZN2v88internal11HandleScope21current_limit_addressEPNS0_7IsolateE", _cell, (_ptr,)
    ),
    "scope_delete_extensions": Symbol(
        "_ZN2v88internal11HandleScope16DeleteExtensionsEPNS0_7IsolateE", None, (_ptr,)
    ),
    # contexts and scripts
    "context_new": Symbol(
        "_ZN2v87Context3NewEPNS_7IsolateEPNS_22ExtensionConfigurationENS_10MaybeLocalINS_14ObjectTemplateEEE"
        "NS5_INS_5ValueEEENS_33DeserializeInternalFieldsCallbackEPNS_14MicrotaskQueueE"
        "NS_30DeserializeContextDataCallbackENS_29DeserializeAPIWrapperCallbackE",
        _ptr,
        (_ptr, _ptr, _ptr, _ptr, SerializeCallback, _ptr, SerializeCallback, SerializeCallback),
    ),
    "context_enter": Symbol("_ZN2v87Context5EnterEv", None, (_ptr,)),
    "context_exit": Symbol("_ZN2v87Context4ExitEv", None, (_ptr,)),
    "context_global": Symbol("_ZN2v87Context6GlobalEv", _ptr, (_ptr,)),
    "context_data": Symbol("_ZN2v87Context23GetDataFromSnapshotOnceEm", _ptr, (_ptr, _size)),
    "script_compile": Symbol(
        f"_ZN2v86Script7CompileE{_L_CONTEXT}NS1_INS_6StringEEEPNS_12ScriptOriginE", _ptr, (_ptr, _ptr, _ptr)
    ),
    # *private*: compiles a script of the platform, whose functions have no frames in stacks and no source
    "script_compile_hidden": Symbol(
        "_ZN2v85debug22CompileInspectorScriptEPNS_7IsolateENS_5LocalINS_6StringEEE", _ptr, (_ptr, _ptr)
    ),
    "script_bind": Symbol("_ZN2v813UnboundScript20BindToCurrentContextEv", _ptr, (_ptr,)),
    "script_run": Symbol(f"_ZN2v86Script3RunE{_L_CONTEXT}", _ptr, (_ptr, _ptr)),
    "evaluate_global": Symbol(
        "_ZN2v85debug14EvaluateGlobalEPNS_7IsolateENS_5LocalINS_6StringEEENS0_18EvaluateGlobalModeEb",
        _ptr,
        (_ptr, _ptr, _int, _bool),
    ),
    # names of lexical variables: fills a std::vector<Global<String>>
    "lexical_names": Symbol(
        "_ZN2v85debug23GlobalLexicalScopeNamesENS_5LocalINS_7ContextEEEPNSt4__Cr6vectorINS_6GlobalI"
        "NS_6StringEEENS4_9allocatorIS8_EEEE",
        None,
        (_ptr, _ptr),
    ),
    "global_dispose": Symbol("_ZN2v812api_internal13DisposeGlobalEPm", None, (c.c_uint64,)),
    "operator_delete": Symbol("_ZdlPv", None, (c.c_uint64,)),
    # values
    "string_new": Symbol(
        "_ZN2v86String11NewFromUtf8EPNS_7IsolateEPKcNS_13NewStringTypeEi",
        _ptr,
        (_ptr, c.c_char_p, _int, _int),
    ),
    "utf8_init": Symbol(
        "_ZN2v86String9Utf8ValueC1EPNS_7IsolateENS_5LocalINS_5ValueEEE", None, (_ptr, _ptr, _ptr)
    ),
    "utf8_free": Symbol("_ZN2v86String9Utf8ValueD1Ev", None, (_ptr,)),
    "number_new": Symbol("_ZN2v86Number3NewEPNS_7IsolateEd", _ptr, (_ptr, c.c_double)),
    "number_value": Symbol("_ZNK2v86Number5ValueEv", c.c_double, (_ptr,)),
    "integer_new": Symbol("_ZN2v87Integer3NewEPNS_7IsolateEi", _ptr, (_ptr, _int)),
    "boolean_value": Symbol("_ZNK2v85Value12BooleanValueEPNS_7IsolateE", _bool, (_ptr, _ptr)),
    "array_new": Symbol("_ZN2v85Array3NewEPNS_7IsolateEi", _ptr, (_ptr, _int)),
    "object_get": Symbol(f"_ZN2v86Object3GetE{_L_CONTEXT}NS1_INS_5ValueEEE", _ptr, (_ptr, _ptr, _ptr)),
    "preview_entries": Symbol("_ZN2v86Object14PreviewEntriesEPb", _ptr, (_ptr, c.POINTER(_bool))),
    "proxy_target": Symbol("_ZN2v85Proxy9GetTargetEv", _ptr, (_ptr,)),
    "function_new": Symbol(
        f"_ZN2v88Function3NewE{_L_CONTEXT}PFvRKNS_20FunctionCallbackInfoINS_5ValueEEEENS1_INS_4DataEEEi"
        "NS_19ConstructorBehaviorENS_14SideEffectTypeE",
        _ptr,
        (_ptr, _ptr, _ptr, _int, _int, _int),
    ),
    "function_call": Symbol(
        f"_ZN2v88Function4CallEPNS_7IsolateE{_L_CONTEXT}NS3_INS_5ValueEEEiPS7_",
        _ptr,
        (_ptr, _ptr, _ptr, _ptr, _int, _ptr),
    ),
    "promise_state": Symbol("_ZN2v87Promise5StateEv", _int, (_ptr,)),
    "promise_result": Symbol("_ZN2v87Promise6ResultEv", _ptr, (_ptr,)),
    "promise_mark_handled": Symbol("_ZN2v87Promise13MarkAsHandledEv", None, (_ptr,)),
    # errors
    "try_init": Symbol("_ZN2v88TryCatchC1EPNS_7IsolateE", None, (_ptr, _ptr)),
    "try_free": Symbol("_ZN2v88TryCatchD1Ev", None, (_ptr,)),
    "try_terminated": Symbol("_ZNK2v88TryCatch13HasTerminatedEv", _bool, (_ptr,)),
    "try_exception": Symbol("_ZNK2v88TryCatch9ExceptionEv", _ptr, (_ptr,)),
    "try_message": Symbol("_ZNK2v88TryCatch7MessageEv", _ptr, (_ptr,)),
    "type_error": Symbol(
        "_ZN2v89Exception9TypeErrorENS_5LocalINS_6StringEEENS1_INS_5ValueEEE", _ptr, (_ptr, _ptr)
    ),
    "throw_exception": Symbol("_ZN2v87Isolate14ThrowExceptionENS_5LocalINS_5ValueEEE", _ptr, (_ptr, _ptr)),
    "message_of": Symbol(
        "_ZN2v89Exception13CreateMessageEPNS_7IsolateENS_5LocalINS_5ValueEEE", _ptr, (_ptr, _ptr)
    ),
    "message_line": Symbol(f"_ZNK2v87Message13GetLineNumberE{_L_CONTEXT}", c.c_uint64, (_ptr, _ptr)),
    "message_column": Symbol("_ZNK2v87Message14GetStartColumnEv", _int, (_ptr,)),
    "message_source": Symbol(f"_ZNK2v87Message9GetSourceE{_L_CONTEXT}", _ptr, (_ptr, _ptr)),
    "message_script": Symbol("_ZNK2v87Message21GetScriptResourceNameEv", _ptr, (_ptr,)),
}

# Brand checks, v8::Value::Is…() const, in the numbering that the base image uses (base/values.js).
BRANDS: tuple[tuple[int, str], ...] = (
    (1, "IsProxy"),
    (2, "IsPromise"),
    (3, "IsMap"),
    (4, "IsSet"),
    (5, "IsWeakMap"),
    (6, "IsWeakSet"),
    (7, "IsDate"),
    (8, "IsRegExp"),
    (9, "IsNativeError"),
    (10, "IsArrayBuffer"),
    (11, "IsTypedArray"),
    (12, "IsDataView"),
    (13, "IsMapIterator"),
    (14, "IsSetIterator"),
    (15, "IsGeneratorObject"),
    (16, "IsArgumentsObject"),
    (17, "IsNumberObject"),
    (17, "IsStringObject"),
    (17, "IsBooleanObject"),
    (17, "IsSymbolObject"),
    (17, "IsBigIntObject"),
    (18, "IsAsyncFunction"),
    (19, "IsGeneratorFunction"),
    (20, "IsModuleNamespaceObject"),
    (21, "IsWasmMemoryObject"),
    (21, "IsWasmModuleObject"),
    (22, "IsSharedArrayBuffer"),
)


def address_of(callback: object) -> int:
    """Where V8 finds a callback, which must be kept for as long."""
    address = c.cast(callback, c.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


def instance_type(handle: int) -> int:
    """The type of the value to which a handle points, in V8's own numbering; -1 for a small integer."""
    tagged = c.c_uint64.from_address(handle).value
    return -1 if tagged & 1 == 0 else type_of_map(cage_of(tagged), map_word(tagged))


def cage_of(tagged: int) -> int:
    """The address of the 4 GB that a JavaScript object is in, and all maps with it."""
    return tagged & ~CAGE_MASK


def words_of(cage: int) -> c.Array[c.c_uint32]:
    """The words of those 4 GB; only where there are objects may one be looked at."""
    return (c.c_uint32 * (1 << 30)).from_address(cage)


def map_word(tagged: int) -> int:
    """The first word of an object: its map, as a compressed pointer."""
    return c.c_uint32.from_address(tagged - 1).value


def type_of_map(cage: int, word: int) -> int:
    """The type of the objects with that map."""
    return c.c_uint16.from_address((cage | word) - 1 + MAP_INSTANCE_TYPE).value


for _, _name in BRANDS:
    SYMBOLS[_name] = Symbol(f"_ZNK2v85Value{len(_name)}{_name}Ev", _bool, (_ptr,))


class Library:
    """The loaded V8 library: one attribute for each entry of ``SYMBOLS``.

    ``missing`` names the symbols that the library does not have; ``base`` is the address at which it
    is mapped, to which external references are relative.
    """

    def __init__(self) -> None:
        folder = package()
        assert folder is not None, "versions are looked at before"
        self.path = folder / "libmini_racer.so"
        library = c.PyDLL(str(self.path))
        library.mr_init_v8(" ".join(FLAGS).encode(), bytes(self.path.with_name("icudtl.dat")))
        self.missing: list[str] = []
        for name, symbol in SYMBOLS.items():
            try:
                function = library[symbol.mangled]
            except AttributeError:
                self.missing.append(symbol.mangled)
                continue
            function.restype, function.argtypes = symbol.result, symbol.args
            setattr(self, name, function)
        self.base = _mapping_of(self.path)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(f"V8 has no symbol {name}")


def _mapping_of(path: Path) -> int:
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            if line.rstrip().endswith(path.name):
                return int(line.split("-")[0], 16)
    raise OSError(f"{path.name} is loaded but not mapped")


def package() -> Path | None:
    """The folder of the wheel's package, which is not imported: it would bring asyncio and TLS along."""
    spec = importlib.util.find_spec("py_mini_racer")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def machine() -> str:
    """The architecture, as in ``ARCHITECTURES`` where it is supported."""
    return os.uname().machine


_library: Library | None = None


def library() -> Library:
    """The V8 library, loaded at the first call. Never called in the server's own process."""
    global _library
    if _library is None:
        _library = Library()
    return _library
