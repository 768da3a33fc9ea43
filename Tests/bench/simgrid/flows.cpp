// Runs a list of flows over a list of links in SimGrid and prints when each ends: the peer of `network-bench`.
// Input (standard input): links; one capacity in bytes/s each; hosts; flows; then "source target bytes hops link...".
// Output: one line "source target seconds" per flow; the CPU seconds of the simulation on standard error.
#include <simgrid/s4u.hpp>

#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

namespace sg4 = simgrid::s4u;

static double cpu() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

struct Flow {
  int source, target;
  double bytes;
};

int main(int argc, char** argv) {
  sg4::Engine engine(&argc, argv);
  // Plain max-min fairness: no reverse traffic, no TCP window; precise enough for comparing to 1e-6.
  sg4::Engine::set_config("network/model:CM02");
  sg4::Engine::set_config("network/crosstraffic:0");
  sg4::Engine::set_config("network/TCP-gamma:0");
  sg4::Engine::set_config("surf/precision:1e-9");
  auto* zone = sg4::create_full_zone("network");
  int count = 0;
  if (scanf("%d", &count) != 1) return 2;
  std::vector<sg4::Link*> links;
  for (int i = 0; i < count; i++) {
    double capacity;
    if (scanf("%lf", &capacity) != 1) return 2;
    links.push_back(zone->create_link("l" + std::to_string(i), capacity)->set_latency(0)->seal());
  }
  if (scanf("%d", &count) != 1) return 2;
  std::vector<sg4::Host*> hosts;
  for (int i = 0; i < count; i++) hosts.push_back(zone->create_host("h" + std::to_string(i), 1e9)->seal());
  if (scanf("%d", &count) != 1) return 2;
  std::vector<Flow> flows;
  for (int i = 0; i < count; i++) {
    Flow flow;
    int hops;
    if (scanf("%d %d %lf %d", &flow.source, &flow.target, &flow.bytes, &hops) != 4) return 2;
    std::vector<sg4::LinkInRoute> route;
    for (int hop = 0; hop < hops; hop++) {
      int link;
      if (scanf("%d", &link) != 1) return 2;
      route.emplace_back(links[link]);
    }
    zone->add_route(hosts[flow.source]->get_netpoint(), hosts[flow.target]->get_netpoint(), nullptr, nullptr, route, false);
    flows.push_back(flow);
  }
  zone->seal();
  std::vector<sg4::CommPtr> comms;
  sg4::Actor::create("main", hosts[0], [&] {
    for (const auto& flow : flows) {
      auto comm = sg4::Comm::sendto_init(hosts[flow.source], hosts[flow.target]);
      comm->set_payload_size(flow.bytes);
      comm->vetoable_start();
      comms.push_back(comm);
    }
    for (auto& comm : comms) comm->wait();
  });
  double before = cpu();
  engine.run();
  fprintf(stderr, "%.6f\n", cpu() - before);
  for (size_t i = 0; i < flows.size(); i++)
    printf("%d %d %.12g\n", flows[i].source, flows[i].target, comms[i]->get_finish_time());
  return 0;
}
