// Starts one Mesos master or one Mesos agent out of libmesos 1.11 (the PyPI egg mesos.scheduler has the whole of it).
//
//   starter LIBMESOS            a master; with MESOS_ZK and MESOS_QUORUM one of several
//   starter LIBMESOS MASTER     an agent of MASTER: HOST:PORT or zk://HOST:PORT,.../PATH
//
// Every MESOS_* variable is a flag of the real program.  libmesos can run a whole "local" cluster in one process for
// a scheduler driver whose master is `local`; MESOS_NUM_SLAVES says how many agents it has (0 for a master, 1 for an
// agent).  This program starts such a driver, leaves it at once so that it holds no offers, and stays.  Where the
// local cluster only knows its own single master, a jump to what the real programs use is written over the function.
// There are no Mesos headers here: functions are found by their mangled names, objects are bytes of ample size.

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

// The library is an extension of Python 2.7; its loader wants these names. None of them is called.
#define UNUSED(name) extern "C" { char name[4096]; }
UNUSED(PyArg_ParseTuple) UNUSED(PyDict_GetItemString) UNUSED(PyErr_Format) UNUSED(PyErr_Occurred)
UNUSED(PyErr_Print) UNUSED(PyEval_InitThreads) UNUSED(PyEval_RestoreThread) UNUSED(PyEval_SaveThread)
UNUSED(PyExc_Exception) UNUSED(PyExc_TypeError) UNUSED(PyGILState_Ensure) UNUSED(PyGILState_Release)
UNUSED(PyImport_ImportModule) UNUSED(PyInt_FromLong) UNUSED(PyIter_Next) UNUSED(PyList_GetItem)
UNUSED(PyList_New) UNUSED(PyList_SetItem) UNUSED(PyList_Size) UNUSED(PyModule_AddObject)
UNUSED(PyModule_GetDict) UNUSED(PyObject_CallMethod) UNUSED(PyObject_GetIter) UNUSED(PyString_AsStringAndSize)
UNUSED(PyType_Ready) UNUSED(Py_InitModule4_64) UNUSED(_Py_NoneStruct)

namespace {

void* library;

[[noreturn]] void fail(const std::string& why) {
  fprintf(stderr, "starter: %s\n", why.c_str());
  exit(2);
}

template <typename Function>
Function find(const char* mangled) {
  void* at = dlsym(library, mangled);
  if (!at) fail(std::string("libmesos has no ") + mangled);
  return reinterpret_cast<Function>(at);
}

// Writes `mov rax, to; jmp rax` over the start of a function of the library.
template <typename Function>
void replace(const char* mangled, Function to) {
  auto* at = find<unsigned char*>(mangled);
  unsigned char jump[] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
  memcpy(jump + 2, &to, sizeof to);
  const long page = sysconf(_SC_PAGESIZE);
  auto* start = reinterpret_cast<void*>(reinterpret_cast<long>(at) & -page);
  if (mprotect(start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC)) fail("mprotect refused");
  memcpy(at, jump, sizeof jump);
}

// ---- what the library's types look like in memory (libstdc++ strings, stout's Option, Try and Duration)

#define STRING "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
struct OptionString { int none; std::string value; };
struct OptionNanoseconds { int none; long value; };
struct OptionAuthentication { int none; char value[256]; };
struct TryPointer { int failed; void* value; int no_error; char error[sizeof(std::string)]; };

// ---- an agent of a master that is named by its address

#define STANDALONE "_ZN5mesos6master8detector24StandaloneMasterDetector"
const char kAppointMaster[] = STANDALONE "7appointERK6OptionINS_10MasterInfoEE";
const char kAppointPid[] = STANDALONE "7appointERKN7process4UPIDE";
const char kDetect[] = STANDALONE "6detectERK6OptionINS_10MasterInfoEE";

std::string master_pid;  // master@HOST:PORT

void appoint_master_pid(void* detector, const void*) {
  alignas(16) static char pid[4096];
  find<void (*)(void*, const std::string&)>("_ZN7process4UPIDC1ERK" STRING)(pid, master_pid);
  find<void (*)(void*, const void*)>(kAppointPid)(detector, pid);
}

// ---- masters that find each other, and agents that find them, through ZooKeeper

namespace zookeeper {

std::string url, path, servers;  // zk://a:2181,b:2181/mesos, /mesos, a:2181,b:2181
int quorum = 1;
long session_ns = 10'000'000'000;
void *contender, *detector, *cluster_detector;

#define CONTENDER "_ZN5mesos6master9contender24ZooKeeperMasterContender"
#define SINGLE_CONTENDER "_ZN5mesos6master9contender25StandaloneMasterContender"

void* make(const char* mangled) {
  using Create = TryPointer (*)(const OptionString&, const OptionString&, const OptionNanoseconds&);
  TryPointer made = find<Create>(mangled)({0, url}, {1, ""}, {0, session_ns});
  if (made.failed) fail(url + ": " + *reinterpret_cast<std::string*>(made.error));
  return made.value;
}

// The local cluster tells its own detector who leads; from that call it is known which detector is the cluster's.
void remember_detector(void* which, const void*) { cluster_detector = which; }

// Futures are returned through a hidden first argument. Only the cluster's detector asks ZooKeeper: the driver's gets
// a future that never comes, or it would be a framework of the real master and hold offers.
void* detect(void* future, void* which, const void* previous) {
  if (which != cluster_detector) {
    find<void (*)(void*)>("_ZN7process6FutureI6OptionIN5mesos10MasterInfoEEEC1Ev")(future);
    return future;
  }
  return find<void* (*)(void*, void*, const void*)>(
      "_ZN5mesos6master8detector23ZooKeeperMasterDetector6detectERK6OptionINS_10MasterInfoEE")(
      future, detector, previous);
}

void initialize(void*, const void* info) {
  find<void (*)(void*, const void*)>(CONTENDER "10initializeERKNS_10MasterInfoE")(contender, info);
}

void* contend(void* future, void*) {
  return find<void* (*)(void*, void*)>(CONTENDER "7contendEv")(future, contender);
}

// The registry's log, replicated between the masters instead of a single copy.
void make_log(void* log, int, const std::string& file, const void*, bool initialize, const OptionString& metrics) {
  using Make = void (*)(void*, int, const std::string&, const std::string&, const long&, const std::string&,
                        const void*, bool, const OptionString&);
  OptionAuthentication anonymous{1, {}};
  find<Make>("_ZN5mesos3log3LogC1EiRK" STRING "S9_RK8DurationS9_RK6OptionIN9zookeeper14AuthenticationEEbRKSD_IS7_E")(
      log, quorum, file, servers, session_ns, path + "/log_replicas", &anonymous, initialize, metrics);
}

void use(bool as_master) {
  const size_t slash = url.find('/', strlen("zk://"));
  if (slash == std::string::npos) fail(url + ": zk://HOST:PORT,.../PATH is wanted");
  path = url.substr(slash);
  servers = url.substr(strlen("zk://"), slash - strlen("zk://"));
  detector = make("_ZN5mesos6master8detector14MasterDetector6createERK6OptionI" STRING "ESC_RKS3_I8DurationE");
  replace(kAppointMaster, remember_detector);
  replace(kDetect, detect);
  if (!as_master) return;
  contender = make("_ZN5mesos6master9contender15MasterContender6createERK6OptionI" STRING "ESC_RKS3_I8DurationE");
  replace(SINGLE_CONTENDER "10initializeERKNS_10MasterInfoE", initialize);
  replace(SINGLE_CONTENDER "7contendEv", contend);
  replace("_ZN5mesos3log3LogC1EiRK" STRING "RKSt3setIN7process4UPIDESt4lessISC_ESaISC_EEbRK6OptionIS7_E", make_log);
}

}  // namespace zookeeper

// ---- the framework that the local cluster is started for

volatile bool registered = false;

// Laid out as mesos::Scheduler: its virtual functions in this order.
struct Framework {
  virtual ~Framework() {}
  virtual void registered(void*, const void*, const void*) { ::registered = true; }
  virtual void reregistered(void*, const void*) {}
  virtual void disconnected(void*) {}
  virtual void resourceOffers(void*, const void*) {}
  virtual void offerRescinded(void*, const void*) {}
  virtual void statusUpdate(void*, const void*) {}
  virtual void frameworkMessage(void*, const void*, const void*, const std::string&) {}
  virtual void slaveLost(void*, const void*) {}
  virtual void executorLost(void*, const void*, const void*, int) {}
  virtual void error(void*, const std::string& why) {  // refused by an ACL: the cluster runs nevertheless
    fprintf(stderr, "starter: %s\n", why.c_str());
    ::registered = true;
  }
};

void start_cluster(bool wait_for_registration) {
  alignas(16) static char info[65536], driver[65536];
  find<void (*)(void*)>("_ZN5mesos13FrameworkInfoC1Ev")(info);
  const std::string wire("\x0a\x04root\x12\x07starter");  // user root, name starter
  if (!find<bool (*)(void*, const std::string&)>(
          "_ZN6google8protobuf11MessageLite15ParseFromStringERK" STRING)(info, wire))
    fail("FrameworkInfo was not parsed");
  static Framework framework;
  static const std::string local("local");
  find<void (*)(void*, void*, void*, const std::string&)>(
      "_ZN5mesos20MesosSchedulerDriverC1EPNS_9SchedulerERKNS_13FrameworkInfoERK" STRING)(
      driver, &framework, info, local);
  const int kRunning = 2;
  if (find<int (*)(void*)>("_ZN5mesos20MesosSchedulerDriver5startEv")(driver) != kRunning)
    fail("the driver did not start; see the log above");
  for (int i = 0; i < 200 && wait_for_registration && !registered; i++) usleep(10'000);
  find<int (*)(void*, bool)>("_ZN5mesos20MesosSchedulerDriver4stopEb")(driver, false);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: starter LIBMESOS [HOST:PORT | zk://...]\n");
    return 2;
  }
  const bool agent = argc == 3;
  if (const char* quorum = getenv("MESOS_QUORUM")) zookeeper::quorum = atoi(quorum);
  if (const char* seconds = getenv("MESOS_ZK_SESSION_TIMEOUT")) zookeeper::session_ns = atol(seconds) * 1'000'000'000;
  if (agent && strncmp(argv[2], "zk://", 5) != 0) master_pid = std::string("master@") + argv[2];
  else if (agent) zookeeper::url = argv[2];
  else if (const char* url = getenv("MESOS_ZK")) zookeeper::url = url;

  library = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL);
  if (!library) fail(dlerror());
  if (!master_pid.empty()) replace(kAppointMaster, appoint_master_pid);

  // Which process answers at /api/v1/..., as in the real program, and its authentication realms.
  const std::string realm = agent ? "mesos-agent" : "mesos-master";
  find<bool (*)(const OptionString&, const OptionString&, const OptionString&)>(
      "_ZN7process10initializeERK6OptionI" STRING "ES9_S9_")(
      {0, agent ? "slave(1)" : "master"}, {0, realm + "-readwrite"}, {0, realm + "-readonly"});
  if (!zookeeper::url.empty()) zookeeper::use(!agent);
  // with authentication, or several masters, the framework may never be registered
  start_cluster(!agent && zookeeper::url.empty());
  sleep(1);
  puts("ready");
  fflush(stdout);
  pause();
  _exit(0);
}
