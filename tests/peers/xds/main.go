// Command xds asks a control plane for workload configuration and certificates, with the messages that Envoy's and
// Istio's own projects generate. It shows that our field numbers and service names are theirs.
//
//	xds [flags] ca CSR-FILE            prints the chain that CreateCertificate answers
//	xds [flags] watch TYPE [NAME...]   subscribes (without names: to everything), acknowledges, and prints one JSON
//	                                   line per response until -responses of them have come
//
// It ends with status 1 and one line `CODE: message` when the other side refuses.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	security "istio.io/api/security/v1alpha1"
)

type options struct {
	address, roots, name, token, node, impersonate string
	have                                           string
	ttl                                            int64
	responses                                      int
	timeout                                        time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "", "host:port")
	flag.StringVar(&o.roots, "roots", "", "file of roots, PEM")
	flag.StringVar(&o.name, "name", "istiod.istio-system.svc", "name that the server's certificate must have")
	flag.StringVar(&o.token, "token", "", "file of the bearer token")
	flag.StringVar(&o.node, "node", "ztunnel~10.0.0.1~peer.istio-system~istio-system.svc.cluster.local", "node id")
	flag.StringVar(&o.impersonate, "impersonate", "", "SPIFFE ID to be asked for")
	flag.StringVar(&o.have, "have", "", "JSON object: names and versions of what is there already")
	flag.Int64Var(&o.ttl, "ttl", 3600, "life of the certificate, in seconds")
	flag.IntVar(&o.responses, "responses", 1, "how many responses to wait for")
	flag.DurationVar(&o.timeout, "timeout", 15*time.Second, "how long all of it may take")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		var refused interface{ GRPCStatus() *status.Status }
		if errors.As(err, &refused) {
			fmt.Fprintf(os.Stderr, "%s: %s\n", refused.GRPCStatus().Code(), refused.GRPCStatus().Message())
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

func run(o options, args []string) error {
	if len(args) < 2 {
		return errors.New("expected: ca CSR-FILE, or watch TYPE [NAME...]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(o.roots)
	if err != nil {
		return err
	}
	roots.AppendCertsFromPEM(pem)
	transport := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: o.name, MinVersion: tls.VersionTLS13})
	connection, err := grpc.NewClient(o.address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	defer connection.Close()
	if o.token != "" {
		token, err := os.ReadFile(o.token)
		if err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	switch args[0] {
	case "ca":
		return sign(ctx, connection, o, args[1])
	case "watch":
		return watch(ctx, connection, o, args[1], args[2:])
	}
	return fmt.Errorf("%s: neither ca nor watch", args[0])
}

func sign(ctx context.Context, connection *grpc.ClientConn, o options, file string) error {
	csr, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	request := &security.IstioCertificateRequest{Csr: string(csr), ValidityDuration: o.ttl}
	if o.impersonate != "" {
		request.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{
			"ImpersonatedIdentity": structpb.NewStringValue(o.impersonate),
		}}
	}
	response, err := security.NewIstioCertificateServiceClient(connection).CreateCertificate(ctx, request)
	if err != nil {
		return err
	}
	for _, certificate := range response.CertChain {
		fmt.Print(certificate)
	}
	return nil
}

// A response as it is printed.
type line struct {
	Type      string            `json:"type"`
	Resources map[string]string `json:"resources"` // name to version
	Aliases   []string          `json:"aliases"`
	Types     []string          `json:"types"` // type URLs of the contents
	Removed   []string          `json:"removed"`
	Bytes     int               `json:"bytes"`
}

func watch(ctx context.Context, connection *grpc.ClientConn, o options, typeURL string, names []string) error {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	request := &discovery.DeltaDiscoveryRequest{
		Node:                   &core.Node{Id: o.node, UserAgentName: "peer"},
		TypeUrl:                typeURL,
		ResourceNamesSubscribe: names,
	}
	if len(names) > 0 {
		// Nothing but these: without it the first request of a type would be a wildcard as well.
		request.ResourceNamesUnsubscribe = []string{"*"}
	}
	if o.have != "" {
		if err := json.Unmarshal([]byte(o.have), &request.InitialResourceVersions); err != nil {
			return err
		}
	}
	// A stream that is refused ends while this is sent; why it ended comes with the next response.
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	for range o.responses {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		seen := line{Type: response.TypeUrl, Resources: map[string]string{}, Removed: response.RemovedResources}
		for _, resource := range response.Resources {
			seen.Resources[resource.Name] = resource.Version
			seen.Aliases = append(seen.Aliases, resource.Aliases...)
			seen.Types = append(seen.Types, resource.Resource.GetTypeUrl())
			seen.Bytes += len(resource.Resource.GetValue())
		}
		if err := output.Encode(seen); err != nil {
			return err
		}
		acknowledge := &discovery.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}
		if err := stream.Send(acknowledge); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}
