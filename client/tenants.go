package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// The calls below are for an administrator of the installation (scope tenant:manage).

// CreateTenant notes a tenant before it first does anything.
func (c *Client) CreateTenant(ctx context.Context, req TenantRequest) (TenantInfo, error) {
	var info TenantInfo
	resp, err := c.api.CreateTenant(ctx, req)
	if resp, err = expect(resp, err, http.StatusCreated); err != nil {
		return info, fmt.Errorf("create tenant %s: %w", req.Tenant, err)
	}
	return info, decode(resp, &info)
}

// ListTenants gives a page of names and states, by name.
func (c *Client) ListTenants(ctx context.Context, params ListTenantsParams) (TenantPage, error) {
	return repeated(ctx, func() (TenantPage, error) {
		var page TenantPage
		resp, err := c.api.ListTenants(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list tenants: %w", err)
		}
		return page, decode(resp, &page)
	})
}

// GetTenant gives a tenant's state, and who changed it last.
func (c *Client) GetTenant(ctx context.Context, name string) (TenantInfo, error) {
	return repeated(ctx, func() (TenantInfo, error) {
		resp, err := c.api.GetTenant(ctx, name)
		return tenantInfo("get", name, resp, err)
	})
}

// SetTenantQuotas says what a tenant may use; what is nil is as the installation says
// of all.
func (c *Client) SetTenantQuotas(ctx context.Context, name string, quotas TenantQuotas) (TenantInfo, error) {
	return repeated(ctx, func() (TenantInfo, error) {
		resp, err := c.api.SetTenantQuotas(ctx, name, quotas)
		return tenantInfo("set the quotas of", name, resp, err)
	})
}

// SuspendTenant keeps a tenant out. Doing it twice is doing it once.
func (c *Client) SuspendTenant(ctx context.Context, name, reason string) (TenantInfo, error) {
	return repeated(ctx, func() (TenantInfo, error) {
		resp, err := c.api.SuspendTenant(ctx, name, TenantChangeRequest{Reason: reason})
		return tenantInfo("suspend", name, resp, err)
	})
}

// ResumeTenant lets a suspended tenant in again.
func (c *Client) ResumeTenant(ctx context.Context, name, reason string) (TenantInfo, error) {
	return repeated(ctx, func() (TenantInfo, error) {
		resp, err := c.api.ResumeTenant(ctx, name, TenantChangeRequest{Reason: reason})
		return tenantInfo("resume", name, resp, err)
	})
}

// OffboardTenant asks for a tenant to be removed (scope tenant:offboard). It cannot be
// undone; asking twice is asking once. The name is said twice, so that no caller has
// it by mistake.
func (c *Client) OffboardTenant(ctx context.Context, name string, req TenantOffboardRequest) (TenantInfo, error) {
	return repeated(ctx, func() (TenantInfo, error) {
		var info TenantInfo
		resp, err := c.api.OffboardTenant(ctx, name, req)
		if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
			return info, fmt.Errorf("offboard tenant %s: %w", name, err)
		}
		return info, decode(resp, &info)
	})
}

// OffboardingRecord writes the signed record of what was removed of a tenant to w.
// offboarding.Verify reads it; what is written before an error is not a record.
func (c *Client) OffboardingRecord(ctx context.Context, name string, w io.Writer) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	resp, err := c.api.GetOffboarding(ctx, name)
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return fmt.Errorf("get the offboarding record of %s: %w", name, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, c.body(resp.Body, giveUp)); err != nil {
		return fmt.Errorf("get the offboarding record of %s: %w", name, err)
	}
	return nil
}

func tenantInfo(what, name string, resp *http.Response, err error) (TenantInfo, error) {
	var info TenantInfo
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return info, fmt.Errorf("%s tenant %s: %w", what, name, err)
	}
	return info, decode(resp, &info)
}
