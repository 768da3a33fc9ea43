import Execution
import MPITransport
import Testing

@Suite struct WorldTests {
  @Test func `a process that was started alone has no world`() throws {
    #expect(try World(environment: ["PATH": "/bin", "SLURM_NTASKS": "4"]) == nil)
  }

  @Test func `Open MPI's launcher says rank, size and the machine's share of them`() throws {
    let environment = [
      "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "16", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
      "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_RANK": "5", "PMIX_SERVER_TMPDIR": "session",
    ]
    let world = try #require(try World(environment: environment))
    #expect(world == World(rank: 5, size: 16, localRank: 1, localSize: 4, sessionFolder: "session"))
  }

  @Test func `Slurm's launcher says the rank by PMIx and the size itself`() throws {
    let world = try #require(try World(environment: ["PMIX_RANK": "3", "SLURM_NTASKS": "8"]))
    #expect(world == World(rank: 3, size: 8, localRank: 3, localSize: 8))
  }

  @Test func `a launcher that contradicts itself is refused`() {
    let wrong = [
      ["PMIX_RANK": "3"], ["OMPI_COMM_WORLD_SIZE": "8"], ["PMI_RANK": "8", "PMI_SIZE": "8"],
      ["PMI_RANK": "one", "PMI_SIZE": "8"], ["PMI_RANK": "0", "PMI_SIZE": "0"],
    ]
    for environment in wrong {
      #expect(throws: TransportError.self) { try World(environment: environment) }
    }
  }

  @Test func `shared cores are said in words`() {
    #expect("\(CoreShare(ranks: 8, cores: 2))" == "8 ranks share 2 cores")
    #expect("\(CoreShare(ranks: 2, cores: 1))" == "2 ranks share 1 core")
    #expect("\(CoreShare(ranks: 2, cores: 4))" == "2 ranks on 4 cores")
    #expect("\(CoreShare(ranks: 1, cores: 1))" == "1 rank on 1 core")
    #expect(World.availableCores > 0)
  }
}
