package main

import (
	"fmt"
	"net"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	// shards is fixed for the life of the data. Four spread the work of one
	// machine enough; each costs a little when idle.
	shards = 4
	// Connections to PostgreSQL, per service and database: together well
	// below a default server's 100.
	stateConns      = 8
	visibilityConns = 3
)

// settings are where this cluster differs from the server's defaults.
// The three poll rates and the long poll were measured: with the defaults each
// step of a workflow waits for a 50 ms slot, and a missed notification leaves
// a waiting client for 20 s instead of one.
var settings = dynamicconfig.StaticClient{
	dynamicconfig.TransferProcessorMaxPollRPS.Key():       5000,
	dynamicconfig.TimerProcessorMaxPollRPS.Key():          5000,
	dynamicconfig.VisibilityProcessorMaxPollRPS.Key():     5000,
	dynamicconfig.HistoryLongPollExpirationInterval.Key(): time.Second,
	dynamicconfig.NamespaceCacheRefreshInterval.Key():     time.Second,
	// No packet leaves: the server would ask its makers for newer versions.
	dynamicconfig.EnableServerVersionCheck.Key(): false,
}

// startCluster starts the four services of a cluster in this process. It
// returns when the frontend answers.
func startCluster(c Config) (temporal.Server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	cfg := clusterConfig(c, ports)
	logger := quietLogger()
	// Nobody is asked who they are: the listeners are on loopback or in a
	// private network, and tenants never reach them (ARCHITECTURE D7).
	authorizer := authorization.NewNoopAuthorizer()
	server, err := temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(cfg),
		temporal.WithLogger(logger),
		temporal.WithDynamicConfigClient(settings),
		temporal.WithAuthorizer(authorizer),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: static.SingleLocalHost(c.frontend()),
			primitives.HistoryService:  static.SingleLocalHost(address(ports[0])),
			primitives.MatchingService: static.SingleLocalHost(address(ports[1])),
			primitives.WorkerService:   static.SingleLocalHost(address(ports[2])),
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("configure the cluster: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start the cluster: %w", err)
	}
	return server, nil
}

func clusterConfig(c Config, ports []int) *config.Config {
	service := func(port int, host string) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: host}}
	}
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 10 * time.Second, BroadcastAddress: loopback},
		},
		Persistence: config.Persistence{
			DefaultStore:     "state",
			VisibilityStore:  "visibility",
			NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{
				"state":      {SQL: sqlConfig(c.Postgres, c.Postgres.Database, stateConns)},
				"visibility": {SQL: sqlConfig(c.Postgres, c.Postgres.VisibilityDatabase, visibilityConns)},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        "active",
			CurrentClusterName:       "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {Enabled: true, InitialFailoverVersion: 1, RPCAddress: c.frontend()},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			"frontend": service(c.FrontendPort, c.ListenHost),
			"history":  service(ports[0], loopback),
			"matching": service(ports[1], loopback),
			"worker":   service(ports[2], loopback),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: c.frontend()},
	}
}

// freePorts names n loopback ports nobody listens on now. Only this process
// ever dials them, so they may differ from start to start.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all stay open until all are chosen, so they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// quietLogger writes JSON lines from warning upwards to standard error.
func quietLogger() log.Logger {
	return log.NewZapLogger(log.BuildZapLogger(log.Config{Level: "warn"}))
}
